/**
 * A model's weights as a folder holds them: model.safetensors, or shards with model.safetensors.index.json, named and cut as
 * transformers' `save_pretrained` does it. Readers see one set of tensors either way.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { claimFolder, type ClaimedFolder } from '../util/claim.js';
import { UserError } from '../util/errors.js';
import { readJsonFile } from '../util/json.js';
import { refuseForeignFolder } from './foreign.js';
import { tensorBytes, writeTensors, type TensorToWrite } from './safetensors-writer.js';
import { SafetensorsFile, type TensorData, type TensorInfo } from './safetensors.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

/** The tensors of a folder, whichever files they lie in. `close` it when all is read. */
export class Checkpoint {
  readonly #files: readonly SafetensorsFile[];
  readonly #home: ReadonlyMap<string, SafetensorsFile>;

  constructor(
    readonly folder: string,
    files: readonly SafetensorsFile[],
    home: ReadonlyMap<string, SafetensorsFile>,
  ) {
    this.#files = files;
    this.#home = home;
  }

  get names(): readonly string[] {
    return [...this.#home.keys()];
  }

  has(name: string): boolean {
    return this.#home.has(name);
  }

  info(name: string): TensorInfo {
    return this.#file(name).info(name);
  }

  /** As SafetensorsFile.read: one tensor, into new memory or into `into`. */
  read(name: string, into?: Uint8Array): TensorData {
    return this.#file(name).read(name, into);
  }

  /** As SafetensorsFile.same, of two of its tensors. */
  same(a: string, b: string): boolean {
    return this.has(a) && this.has(b) && this.#file(a).same(a, this.#file(b), b);
  }

  readFloat32(name: string): Float32Array {
    return this.#file(name).readFloat32(name);
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  #file(name: string): SafetensorsFile {
    const file = this.#home.get(name);
    if (file === undefined) throw new UserError(`${this.folder}: the weights have no tensor named '${name}'`);
    return file;
  }
}

/**
 * Opens the weights of a model folder: model.safetensors where it stands, else the shards that the index names, as transformers does; a
 * save as one file leaves an older index behind. Throws UserError for missing weights, a missing shard or a malformed file.
 */
export function openCheckpoint(folder: string): Checkpoint {
  const path = join(folder, SINGLE);
  if (existsSync(path)) {
    const file = SafetensorsFile.open(path);
    return new Checkpoint(folder, [file], new Map(file.names.map((name) => [name, file])));
  }
  const indexPath = join(folder, INDEX);
  if (!existsSync(indexPath)) {
    if (existsSync(folder)) refuseForeignFolder(folder);
    throw new UserError(`${folder}: there is neither ${SINGLE} nor ${INDEX}; it is no complete model folder`);
  }
  const files = new Map<string, SafetensorsFile>();
  const home = new Map<string, SafetensorsFile>();
  try {
    for (const [name, shard] of readWeightMap(indexPath)) {
      let file = files.get(shard);
      if (file === undefined) {
        if (!existsSync(join(folder, shard))) {
          throw new UserError(`${folder}: shard ${shard} is missing, which ${INDEX} names; fetch it again`);
        }
        file = SafetensorsFile.open(join(folder, shard));
        files.set(shard, file);
      }
      if (!file.has(name)) {
        throw new UserError(`${file.path}: tensor '${name}' is missing, which ${INDEX} places there`);
      }
      home.set(name, file);
    }
  } catch (error) {
    for (const file of files.values()) file.close();
    throw error;
  }
  return new Checkpoint(folder, [...files.values()], home);
}

/** A model's GGUF file, under this name in the folder that is made for it. */
export const GGUF_WEIGHTS = 'weights.gguf';

/** The GGUF file that a folder's weights are read of; undefined where it has others. */
export function ggufWeights(folder: string): string | undefined {
  const path = join(folder, GGUF_WEIGHTS);
  return existsSync(path) && weightFiles(readdirSync(folder)).length === 0 ? path : undefined;
}

/** The files of a model's weights among these: model.safetensors, else the index, which names the others (`shardNames`). */
export function weightFiles(paths: readonly string[]): string[] {
  return paths.includes(SINGLE) ? [SINGLE] : paths.filter((path) => path === INDEX);
}

/** The shards that a folder's index names, none where it does not decide. */
export function shardNames(folder: string): string[] {
  const path = join(folder, INDEX);
  return existsSync(path) && !existsSync(join(folder, SINGLE))
    ? [...new Set(readWeightMap(path).map(([, shard]) => shard))]
    : [];
}

function readWeightMap(path: string): [string, string][] {
  const json = readJsonFile(path);
  const map = typeof json === 'object' && json !== null && 'weight_map' in json ? json.weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new UserError(`${path}: weight_map is missing or not an object`);
  }
  return Object.entries(map).map(([name, shard]: [string, unknown]) => {
    // A shard's name is joined to the folder's path: it must not lead out of it.
    if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard)) {
      throw new UserError(
        `${path}: weight_map has ${JSON.stringify(shard)} where a shard's file name belongs`,
      );
    }
    return [name, shard];
  });
}

interface WriteCheckpointOptions {
  /** Bytes, or a number with KB, MB or GB (powers of 1000). A larger tensor has a shard to itself. Default '5GB'. */
  readonly maxShardSize?: number | string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Ends the writing with an AbortError, between two tensors. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes weights into `folder` (made where missing), in one file or in shards filled in the given order, in the place of those of an
 * earlier checkpoint, however cut. After an error or an abort the folder is as it was.
 */
export async function writeCheckpoint(
  folder: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteCheckpointOptions = {},
): Promise<void> {
  const claimed = claimFolder(folder, { force: true });
  try {
    await addCheckpoint(claimed, tensors, options);
    claimed.commit();
  } finally {
    claimed.abort();
  }
}

/** Adds weights to a folder that is written into, as its last files; those that an earlier checkpoint has besides go on `commit`. */
export async function addCheckpoint(
  claimed: ClaimedFolder,
  tensors: Iterable<TensorToWrite>,
  { maxShardSize = '5GB', metadata = { format: 'pt' }, signal }: WriteCheckpointOptions = {},
): Promise<void> {
  const shards = cut([...tensors], parseSize(maxShardSize));
  const names = shards.map((_, i) => (shards.length === 1 ? SINGLE : shardName(i + 1, shards.length)));
  const weightMap = new Map<string, string>();
  let totalSize = 0;
  for (const [i, shard] of shards.entries()) {
    const file = claimed.open(names[i]!);
    await writeTensors(file, shard, metadata, signal);
    await file.finish();
    for (const spec of shard) {
      weightMap.set(spec.name, names[i]!);
      totalSize += tensorBytes(spec);
    }
  }
  if (shards.length > 1) {
    const sorted = Object.fromEntries([...weightMap].sort(([a], [b]) => (a < b ? -1 : 1)));
    const index = { metadata: { total_size: totalSize }, weight_map: sorted };
    claimed.write(INDEX, JSON.stringify(index, null, 2) + '\n');
  }
  // One of them is what the weights are found by.
  for (const name of [SINGLE, INDEX]) claimed.remove(name, 'before');
  for (const name of readdirSync(claimed.path))
    if (SHARD.test(name) && !names.includes(name)) claimed.remove(name, 'after');
}

function cut(tensors: TensorToWrite[], limit: number): TensorToWrite[][] {
  const shards: TensorToWrite[][] = [[]];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    if (size > 0 && size + bytes > limit) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(tensor);
    size += bytes;
  }
  return shards;
}

function shardName(i: number, n: number): string {
  return `model-${String(i).padStart(5, '0')}-of-${String(n).padStart(5, '0')}.safetensors`;
}

function parseSize(size: number | string): number {
  const units: Readonly<Record<string, number>> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9 };
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]B|)$/i.exec(String(size).trim());
  const bytes = match === null ? 0 : Number(match[1]) * units[match[2]!.toUpperCase()]!;
  if (bytes >= 1) return bytes;
  throw new UserError(`max_shard_size '${size}' is not a size; write for example 500MB or 5GB`);
}
