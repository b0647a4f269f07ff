/**
 * Models and data sets by name. A folder is used as it is; anything else is looked up on the hub (HF_ENDPOINT), fetched into the
 * cache that the Python library uses too, and found there from then on, with the network or without.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../util/errors.js';
import { shardNames, weightFiles } from './checkpoint.js';
import { foreignFiles, refuseForeignFolder } from './foreign.js';
import { snapshot } from './hub-cache.js';
import { endpoint, type HubOptions } from './hub-client.js';
import { CARD_FILE } from './model-card.js';

/** What Westwind can use of a model repository beside its weights; never pickles, code or data. */
const MODEL_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer*',
  'special_tokens_map.json',
  'chat_template.jinja',
  'adapter_config.json',
  'adapter_model.safetensors',
  CARD_FILE,
];

const ALL_MODEL_FILES = MODEL_FILES.map(pattern);

/** Of a folder's or a repository's files those that are a model's or an adapter's. */
export function modelFilesAmong(paths: readonly string[]): string[] {
  return [...paths.filter((path) => ALL_MODEL_FILES.some((p) => p.test(path))), ...weightFiles(paths)];
}

export interface ModelOptions extends HubOptions {
  /** Patterns of the files to fetch; `*` stands for anything but a slash. Default: all that Westwind can use. */
  readonly files?: readonly string[];
}

/**
 * The local folder of a model or adapter: `nameOrFolder` itself where it is a folder, else its snapshot from the hub.
 * Throws UserError where it is in neither place, is gated, or is not in the cache and the network is away.
 */
export async function resolveModelFolder(nameOrFolder: string, options: ModelOptions = {}): Promise<string> {
  if (existsSync(nameOrFolder)) {
    if (statSync(nameOrFolder).isDirectory()) {
      refuseForeignFolder(nameOrFolder);
      return nameOrFolder;
    }
    throw new UserError(
      `${nameOrFolder} is a file; give the model's folder, a .gguf file, or its name on the hub`,
    );
  }
  const wanted = options.files?.map(pattern);
  const { revision = 'main' } = options;
  const { folder, files } = await snapshot(
    { type: 'model', name: nameOrFolder },
    revision,
    options,
    (paths) => {
      if (wanted) return paths.filter((path) => wanted.some((p) => p.test(path)));
      const foreign = foreignFiles(paths);
      if (foreign !== undefined) throw new UserError(`${nameOrFolder} ${foreign}`);
      return modelFilesAmong(paths);
    },
    // The index has come: it says which shards there are.
    (folder) => (options.files === undefined ? shardNames(folder) : []),
  );
  const missing = shardNames(folder).filter((shard) => !existsSync(join(folder, shard)));
  const incomplete = missing.length > 0 || (files.includes('config.json') && !files.some(isWeights));
  if (options.files === undefined && incomplete) {
    const what = missing.length > 0 ? missing.join(', ') : 'its .safetensors';
    throw new UserError(
      `${nameOrFolder} is not whole in ${folder}: ${what} missing; run once with the network`,
    );
  }
  return folder;
}

interface DatasetOptions extends HubOptions {
  /** The configuration (subset). Default: the only one, or the one named 'default'. */
  readonly config?: string;
  /** Only this split. Default: all. */
  readonly split?: string;
}

/**
 * Local Parquet files of a data set on the hub, by split, each list in order. By default from the branch on which the hub
 * keeps every data set as Parquet. Throws UserError for an unknown data set, configuration or split, naming those there are.
 */
export async function resolveDataset(
  name: string,
  options: DatasetOptions = {},
): Promise<Record<string, string[]>> {
  const { revision = 'refs/convert/parquet', config, split } = options;
  const choose = (paths: readonly string[]): string[] => chooseParquet(name, paths, config, split);
  const { folder, files } = await snapshot({ type: 'dataset', name }, revision, options, choose);
  const splits = new Map<string, string[]>();
  for (const path of [...files].sort()) {
    const { split: of } = parquetPart(path)!;
    splits.set(of, [...(splits.get(of) ?? []), join(folder, path)]);
  }
  // A split's name may be that of an object's own property.
  return Object.fromEntries(splits);
}

function chooseParquet(name: string, paths: readonly string[], config?: string, split?: string): string[] {
  const parts = paths.flatMap((path) => parquetPart(path) ?? []);
  if (parts.length === 0) throw new UserError(`data set '${name}' has no Parquet files at ${endpoint()}`);
  const configs = [...new Set(parts.map((part) => part.config))].sort();
  const chosen = config ?? (configs.length === 1 ? configs[0] : configs.find((c) => c === 'default'));
  if (chosen === undefined || !configs.includes(chosen)) {
    const why = chosen === undefined ? 'needs a config' : `has no config '${chosen}'`;
    throw new UserError(`data set '${name}' ${why}; there are: ${configs.join(', ')}`);
  }
  const ofConfig = parts.filter((part) => part.config === chosen);
  const found = ofConfig.filter((part) => split === undefined || part.split === split);
  if (found.length === 0) {
    const splits = [...new Set(ofConfig.map((part) => part.split))].sort();
    throw new UserError(`data set '${name}' has no split '${split}'; there are: ${splits.join(', ')}`);
  }
  return found.map((part) => part.path);
}

/**
 * Which configuration and split a Parquet file belongs to. The hub's own branch has CONFIG/SPLIT/0000.parquet; people's have
 * [CONFIG/]SPLIT-00000-of-00001[-HASH].parquet or [CONFIG/]SPLIT.parquet, often below `data`.
 */
function parquetPart(path: string): { path: string; config: string; split: string } | undefined {
  const segments = /^(?:(.+)\/)?([^/]+)\.parquet$/.exec(path);
  if (segments === null) return undefined;
  const folders = segments[1]?.split('/') ?? [];
  const file = segments[2]!;
  const own = /^\d+$/.test(file) && folders.length >= 2;
  const split = own ? folders.pop()!.replace(/^partial-/, '') : file.replace(/-\d+-of-\d+.*$/, '');
  const config = folders.filter((folder) => folder !== 'data').join('/') || 'default';
  return { path, config, split };
}

/** Weights, or the index that names them. */
function isWeights(path: string): boolean {
  return /\.safetensors(\.index\.json)?$/.test(path);
}

function pattern(glob: string): RegExp {
  const escaped = glob.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
  return new RegExp(`^${escaped}$`);
}
