/**
 * A model, with its adapter merged into it, as one GGUF file for llama.cpp and what is built over it. Tensors are made one at a time, so
 * that a file takes the memory of the largest; it appears whole or not at all.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ADAPTER_WEIGHTS, bringsTokenizer } from '../../adapters/file.js';
import { openMerged, type MergedModel } from '../../adapters/merge.js';
import type { Backend } from '../../backends/contract.js';
import { blockKernels } from '../../backends/select.js';
import {
  checkFits,
  ggufWeights,
  writeGguf,
  type GgufTensor,
  type GgufValue,
  type TensorToWrite,
  type TensorType,
} from '../../files/index.js';
import { familyOf } from '../../models/families/index.js';
import { ggufPlace, type GgufForm, type GgufPlace } from '../../models/gguf.js';
import { quantizedBy } from '../../quant/ggml/index.js';
import { throwIfAborted } from '../../util/abort.js';
import { UserError } from '../../util/errors.js';
import { hashFiles, SAMPLES } from '../../util/hash-files.js';
import { version } from '../../util/version.js';
import { cardKeys } from './card.js';
import { tensorType, turnsOf, type ModelFacts } from './file-types.js';
import { checkFree, reordered, type Exported, type GgufExport } from './options.js';
import { ggufTokenizer } from './tokenizer.js';

/**
 * Throws UserError for a model, an adapter or a tokenizer that has no form in GGUF, and where the place cannot be written to.
 */
export async function exportGguf(
  backend: Backend,
  { base, adapter, type, out, force, signal, onProgress }: GgufExport,
): Promise<Exported> {
  checkFree(out, force);
  const merged = await openMerged(backend, base.folder, adapter, 'F32');
  try {
    const path = join(base.folder, 'config.json');
    const form = familyOf(merged.config, path).gguf(merged.config, path);
    const placed = placeTensors(merged, form);
    const facts = factsOf(form, placed);
    const turns = turnsOf(placed, facts);
    const tensors = placed.map((one) =>
      ggufTensor(
        one,
        form,
        tensorType(type, { ...one, ...turns.get(one.name) }, facts),
        base.folder,
        signal,
        backend,
      ),
    );
    const ownTokens = adapter !== undefined && bringsTokenizer(adapter);
    const rows = merged.config['vocab_size'] as number;
    const tokenizer = ggufTokenizer(ownTokens ? adapter : base.folder, rows, adapter);
    const parameters = placed.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0);
    const keys = new Map<string, GgufValue>([
      ...cardKeys(form.architecture, type, base, parameters),
      ...Object.entries(form.keys).map(([key, value]) => [`${form.architecture}.${key}`, value] as const),
      ...tokenizer.keys,
    ]);
    const made = [version(), backend.arithmetic, ...contentOf(base.folder, adapter)];
    const bytes = await writeGguf(out, keys, tensors, { signal, onProgress, key: made });
    return { tensors: tensors.length, bytes, notes: [...form.notes, ...tokenizer.notes] };
  } finally {
    merged.close();
  }
}

/** What tells the files apart that tensors are made of. */
function contentOf(folder: string, adapter: string | undefined): string[] {
  const gguf = ggufWeights(folder);
  const weights = gguf === undefined ? readdirSync(folder).filter((f) => f.endsWith('.safetensors')) : [];
  const files = gguf === undefined ? weights.sort().map((file) => join(folder, file)) : [gguf];
  if (adapter !== undefined) files.push(join(adapter, ADAPTER_WEIGHTS), join(adapter, 'adapter_config.json'));
  return [hashFiles(files, SAMPLES), ...files.map((file) => String(statSync(file).mtimeMs))];
}

/** A tensor of the model in its place; its values in float32, as the checkpoint has them. */
interface Placed extends GgufPlace {
  readonly shape: readonly number[];
  readonly values: () => Promise<Float32Array>;
}

/** More than a stack has. */
const MOST_LAYERS = 1 << 16;

/** All tensors, in the order of the layers. */
function placeTensors(merged: MergedModel, form: GgufForm): Placed[] {
  const placed: Placed[] = [];
  const aliases = familyOf(merged.config).embeddingAliases.map((module) => `${module}.weight`);
  for (const tensor of merged.tensors) {
    // The embedding's table under another name.
    if (merged.tied && tensor.name === merged.headName) continue;
    if (aliases.includes(tensor.name)) continue;
    const place = ggufPlace(form.names, tensor.name);
    if (place) placed.push({ ...place, shape: tensor.shape, values: () => valuesOf(tensor) });
  }
  const embedding = placed.find(({ module }) => module === 'token_embd');
  if (merged.tied && form.ownHead && embedding)
    placed.push({ ...embedding, name: 'output.weight', module: 'output' });
  for (const [name, values] of Object.entries(form.extra))
    placed.push({
      ...{ name, module: name, layer: undefined, stack: 0, shape: [values.length] },
      values: () => Promise.resolve(values),
    });
  const order = ({ layer, stack, module }: Placed): number =>
    layer === undefined ? (module === 'token_embd' ? -1 : Infinity) : stack * MOST_LAYERS + layer;
  return placed.sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)));
}

async function valuesOf({ name, dtype, data }: TensorToWrite): Promise<Float32Array> {
  if (dtype !== 'F32')
    throw new UserError(`tensor '${name}' has type ${dtype}, which no weight of a GGUF file has`);
  const bytes = typeof data === 'function' ? await data() : data;
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function factsOf({ architecture, keys }: GgufForm, placed: readonly Placed[]): ModelFacts {
  const number = (key: string): number => Number(keys[key]?.value ?? 0);
  return {
    architecture,
    layers: number('block_count'),
    heads: number('attention.head_count'),
    kvHeads: number('attention.head_count_kv'),
    ownHead: placed.some(({ module }) => module === 'output'),
  };
}

function ggufTensor(
  placed: Placed,
  form: GgufForm,
  type: TensorType,
  folder: string,
  signal: AbortSignal | undefined,
  backend: Backend,
): GgufTensor {
  const { name, module, shape } = placed;
  const data = async (): Promise<Uint8Array> => {
    let values = await placed.values();
    const order = form.orders[module];
    if (order) values = reordered(values, shape[0]!, order);
    const factor = form.factors[module];
    if (factor !== undefined) values = values.map((v) => v * factor);
    if (form.normOffset !== 0 && /norm\.weight$/.test(name)) values = values.map((v) => v + form.normOffset);
    if (type !== 'F32') {
      const plain = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      // The scales of blocks are of float16.
      checkFits(folder, name, 'F32', type === 'BF16' ? 'BF16' : 'F16', shape, plain);
    }
    return quantizedBy(await blockKernels(backend), type, values, () => throwIfAborted(signal));
  };
  return { name, type, shape, data };
}
