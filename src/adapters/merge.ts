/**
 * Merging an adapter into full-precision weights: W + scaling · B · A, one tensor at a time from the base's checkpoint into a new one,
 * so that merging a model takes one tensor's memory. Tables that the adapter brings take the places of the base's.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../backends/contract.js';
import { createPlanBackend } from '../backends/select.js';
import {
  addCheckpoint,
  checkFinite,
  checkFits,
  fromFloat32,
  toFloat32,
  type TensorToWrite,
  type FloatDtype,
} from '../files/index.js';
import { familyOf } from '../models/families/index.js';
import { readModelJson } from '../models/config.js';
import { kernelsFor, openWeights, type Weights } from '../models/gguf-weights.js';
import { modelLayout } from '../models/load.js';
import { isTied, type CausalLM } from '../models/model.js';
import { copyCompanions, untied, writeConfig } from '../models/save.js';
import { storedFormat } from '../quant/formats.js';
import { Tensor } from '../tensor/tensor.js';
import { throwIfAborted } from '../util/abort.js';
import { claimFolder } from '../util/claim.js';
import { UserError } from '../util/errors.js';
import {
  bringsTokenizer,
  openAdapter,
  type AdapterFile,
  type AdapterPair,
  type AdapterTable,
} from './file.js';
import { kindOf } from './kinds/index.js';

/** How a merged model is written. */
export interface MergeOptions {
  /** As the base has them where absent. */
  readonly dtype?: FloatDtype | undefined;
  readonly maxShardSize?: number | string | undefined;
  /** Write into a folder that holds something already. */
  readonly force?: boolean | undefined;
  /** Ends the merging with an AbortError, between two tensors. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes base + adapter (or the base as it is) into `out` as a Hugging Face model folder: the model that `loadAdapter` makes of them. Throws UserError for the
 * adapters that it refuses, and where `out` is one of the two or holds something already. After an error or an abort, or a kill, `out` is as
 * it was before; what a kill left under temporary names the next call removes.
 * @returns the modules that were changed
 */
export async function mergeAdapter(
  backend: Backend,
  baseFolder: string,
  adapterFolder: string | undefined,
  out: string,
  { dtype, maxShardSize, force, signal }: MergeOptions = {},
): Promise<string[]> {
  throwIfAborted(signal);
  const merged = await openMerged(backend, baseFolder, adapterFolder, dtype);
  try {
    const inputs = [baseFolder, adapterFolder].filter((folder) => folder !== undefined);
    const claimed = claimFolder(out, { force, inputs });
    try {
      copyCompanions(baseFolder, claimed);
      // Tokens that were added are in the adapter's own tokenizer, and what it was trained on was laid out by its chat template.
      if (adapterFolder !== undefined)
        copyCompanions(
          adapterFolder,
          claimed,
          ...(bringsTokenizer(adapterFolder) ? [] : [/^chat_template\.jinja$/]),
        );
      writeConfig(claimed, merged.config, dtype);
      const shards = maxShardSize !== undefined && { maxShardSize };
      await addCheckpoint(claimed, merged.tensors, { ...shards, signal });
      claimed.commit();
    } finally {
      claimed.abort();
    }
    return [...merged.changed];
  } finally {
    merged.close();
  }
}

/** A model whose tensors are made when they are asked for, one at a time. `close` it when they have been. */
export interface MergedModel {
  readonly config: Readonly<Record<string, unknown>>;
  /** By the names of the base's checkpoint. */
  readonly tensors: readonly TensorToWrite[];
  /** The modules that the adapter changes. */
  readonly changed: ReadonlySet<string>;
  /** Whether the head is the embedding's table, whatever the checkpoint holds under its name. */
  readonly tied: boolean;
  /** Names of embedding and head. */
  readonly embeddingName: string;
  readonly headName: string;
  close(): void;
}

/** A base and, where one is given, an adapter as one model. Throws UserError as `mergeAdapter` does. */
export async function openMerged(
  backend: Backend,
  baseFolder: string,
  adapterFolder: string | undefined,
  dtype?: FloatDtype,
): Promise<MergedModel> {
  // A model's shape, and nothing of its weights.
  const model = await modelLayout(await createPlanBackend('reference'), baseFolder);
  let adapter: AdapterFile | undefined;
  let base: Weights | undefined;
  const close = (): void => {
    adapter?.close();
    base?.close();
    model.dispose();
  };
  try {
    adapter = adapterFolder === undefined ? undefined : openAdapter(model, adapterFolder);
    base = openWeights(baseFolder, await kernelsFor(baseFolder, backend));
    refusePacked(base);
    const merge = new Merge(backend, model, base, adapter, dtype);
    const tensors = merge.tensors();
    const config = merge.config(readModelJson(join(baseFolder, 'config.json')));
    const { changed, tied, embeddingName, headName } = merge;
    return { config, tensors, changed, tied, embeddingName, headName, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Throws UserError for a checkpoint whose weights are not those that the adapter was added to in full precision. */
function refusePacked(base: Weights): void {
  for (const name of base.names) {
    const format = storedFormat(base, name);
    if (format)
      throw new UserError(
        `${base.folder} holds ${format.bits}-bit weights: merge into the full-precision checkpoint that they were made from`,
      );
  }
}

/** Where a merged tensor comes from. */
interface Source {
  readonly name: string;
  /** The base's tensor, or the adapter's table in its place. */
  readonly from: { readonly base: string } | { readonly table: AdapterTable };
  readonly pair?: AdapterPair | undefined;
}

class Merge {
  /** The modules that the adapter changes. */
  readonly changed = new Set<string>();
  private readonly pairs: ReadonlyMap<string, AdapterPair>;
  private readonly tables: AdapterFile['tables'];
  /** Whether the head was the embedding's table and is no longer. */
  private readonly apart: boolean;

  constructor(
    private readonly backend: Backend,
    private readonly model: CausalLM,
    private readonly base: Weights,
    private readonly adapter: AdapterFile | undefined,
    private readonly dtype: FloatDtype | undefined,
  ) {
    const { pairs = [], tables = {} } = adapter ?? {};
    this.pairs = new Map(pairs.map((pair) => [`${pair.name}.weight`, pair]));
    this.tables = tables;
    this.apart = isTied(model) && (this.pairs.has(this.headName) || tables.head !== tables.embedding);
    for (const { name } of pairs) this.changed.add(name);
    if (tables.embedding) this.changed.add(model.embedding.name);
    if (tables.head) this.changed.add(model.head.name);
  }

  /** config.json of the merged model. */
  config(config: Record<string, unknown>): Record<string, unknown> {
    const { embedding, head } = this.tables;
    const rows = (embedding ?? head)?.rows ?? this.model.embedding.table.rows;
    const resized = rows === this.model.embedding.table.rows ? config : { ...config, vocab_size: rows };
    return this.apart ? untied(resized) : resized;
  }

  /** All tensors of the merged model. Throws UserError where the base lacks one of the changed ones or has it in another shape. */
  tensors(): TensorToWrite[] {
    const names = new Set(this.base.names);
    if (this.apart) names.add(this.headName);
    const sources = [...names].map((name) => this.sourceOf(name));
    const left = new Set(this.pairs.keys());
    for (const { name } of sources) left.delete(name);
    const [missing] = left;
    if (missing !== undefined)
      throw new UserError(`the adapter changes '${missing}', but ${this.base.folder} has no such tensor`);
    return sources.map((source) => this.tensor(source));
  }

  get tied(): boolean {
    return isTied(this.model) && !this.apart;
  }

  get headName(): string {
    return `${this.model.head.name}.weight`;
  }

  get embeddingName(): string {
    return `${this.model.embedding.name}.weight`;
  }

  /** Further names of the embedding's table. */
  private get aliases(): string[] {
    return familyOf(this.model.config).embeddingAliases.map((module) => `${module}.weight`);
  }

  private sourceOf(name: string): Source {
    const { embedding, head } = this.tables;
    const from = (table: AdapterTable | undefined, base: string): Source['from'] =>
      table ? { table } : { base };
    const pair = this.pairs.get(name);
    if (name === this.headName) {
      const own = this.base.has(name) ? name : this.embeddingName;
      return { name, from: from(head, own), pair };
    }
    const isEmbedding = name === this.embeddingName || this.aliases.includes(name);
    return { name, from: isEmbedding ? from(embedding, name) : { base: name }, pair };
  }

  private tensor({ name, from, pair }: Source): TensorToWrite {
    const { base, adapter, backend } = this;
    const own = base.info('base' in from ? from.base : base.has(name) ? name : this.embeddingName);
    const to = this.dtype !== undefined && isFloat(own.dtype) ? this.dtype : own.dtype;
    const shape = 'table' in from ? [from.table.rows, this.model.embedding.table.cols] : own.shape;
    const changed = pair !== undefined || 'table' in from;
    if (changed && !isFloat(own.dtype))
      throw new UserError(
        `${base.folder}: tensor '${name}' has type ${own.dtype}, which nothing can be merged into`,
      );
    const wanted = pair && [pair.outFeatures, pair.linear.inFeatures];
    if (wanted && (shape.length !== 2 || wanted.some((n, i) => n !== shape[i])))
      throw new UserError(
        `${base.folder}: tensor '${name}' has shape [${shape.join(', ')}], but config.json asks for [${wanted.join(', ')}]`,
      );
    const bytes = async (): Promise<Uint8Array> => {
      let values: Float32Array;
      if ('base' in from) {
        const { data } = base.read(from.base);
        checkFinite(base.folder, from.base, own.dtype, shape, data);
        if (pair === undefined && to === own.dtype) return data;
        values = toFloat32(own.dtype as FloatDtype, data);
      } else values = adapter!.read(from.table.tensor);
      if (pair) await mergePair(backend, values, shape, adapter!, pair);
      const plain = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      if (to !== 'F64') checkFits(base.folder, name, 'F32', to as 'F32' | 'BF16' | 'F16', shape, plain);
      return fromFloat32(to as FloatDtype, values);
    };
    return { name, dtype: to, shape, data: bytes };
  }
}

/** Makes of values [out, in] what they are with the adapter. */
async function mergePair(
  backend: Backend,
  values: Float32Array,
  shape: readonly number[],
  adapter: AdapterFile,
  { r, scaling, tensors }: AdapterPair,
): Promise<void> {
  const [outFeatures, inFeatures] = shape as [number, number];
  const kind = kindOf(adapter.config.kind);
  const weight = Tensor.from(backend, values, shape);
  const parts = Object.entries(tensors).map(([key, tensor]) => {
    const own = kind.tensors[key]!.shape({ r, inFeatures, outFeatures });
    return [key, Tensor.from(backend, adapter.read(tensor), own)] as const;
  });
  kind.merge(weight, Object.fromEntries(parts), scaling);
  values.set(await weight.toFloat32());
  for (const t of [weight, ...parts.map(([, part]) => part)]) t.release();
}

function isFloat(dtype: string): boolean {
  return ['F64', 'F32', 'F16', 'BF16'].includes(dtype);
}

/** Whether a folder holds an adapter rather than a model. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, 'adapter_config.json'));
}
