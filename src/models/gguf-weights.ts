/**
 * A model's weights, whatever files they lie in: safetensors, or a GGUF file, whose tensors appear under the names, in the order of rows and
 * with the norms of the checkpoint that it was made of. Blocks are dequantized to float32 when they are read.
 */

import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import {
  GgufFile,
  ggufWeights,
  openCheckpoint,
  quote,
  TENSOR_TYPES,
  type Checkpoint,
  type Dtype,
} from '../files/index.js';
import type { Backend } from '../backends/contract.js';
import type { BlockKernels } from '../backends/cpu/blocks.js';
import { blockKernels } from '../backends/select.js';
import { fromTensorType } from '../quant/ggml/index.js';
import { UserError } from '../util/errors.js';
import { readModelJson } from './config.js';
import { familyOf } from './families/index.js';
import type { GgufForm, RowOrder } from './gguf.js';

interface TensorFacts {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** What a model's weights are read by. `close` it when all is read. */
export interface Weights extends Pick<Checkpoint, 'names' | 'has' | 'read' | 'same' | 'close'> {
  /** For messages. */
  readonly folder: string;
  info(name: string): TensorFacts;
}

/** Opens the weights of a model folder; blocks are read by `kernels`, where there are some. Throws UserError as `openCheckpoint` does. */
export function openWeights(folder: string, kernels?: BlockKernels): Weights {
  const path = ggufWeights(folder);
  return path === undefined ? openCheckpoint(folder) : GgufWeights.open(folder, realpathSync(path), kernels);
}

/** The kernels that a folder's blocks are best read by, for a model on `backend`. */
export async function kernelsFor(folder: string, backend: Backend): Promise<BlockKernels | undefined> {
  return ggufWeights(folder) === undefined ? undefined : blockKernels(backend);
}

/** A tensor of the file, and what the exporter did to it. */
interface Place {
  readonly tensor: string;
  readonly order: RowOrder | undefined;
  /** What was added. */
  readonly offset: number;
}

class GgufWeights implements Weights {
  private constructor(
    private readonly file: GgufFile,
    private readonly kernels: BlockKernels | undefined,
    private readonly places: ReadonlyMap<string, Place>,
  ) {}

  static open(folder: string, path: string, kernels: BlockKernels | undefined): GgufWeights {
    const config = readModelJson(join(folder, 'config.json'));
    const form = familyOf(config, path).gguf(config, path);
    const file = GgufFile.open(path);
    try {
      return new GgufWeights(file, kernels, placesOf(file, form));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get folder(): string {
    return this.file.path;
  }

  get names(): readonly string[] {
    return [...this.places.keys()];
  }

  has(name: string): boolean {
    return this.places.has(name);
  }

  info(name: string): TensorFacts {
    const { tensor, offset } = this.#place(name);
    const { type, shape, byteLength } = this.file.info(tensor);
    if (isPlain(type) && offset === 0) return { dtype: type, shape, byteLength };
    return { dtype: 'F32', shape, byteLength: 4 * shape.reduce((a, b) => a * b, 1) };
  }

  read(name: string, into?: Uint8Array): ReturnType<Checkpoint['read']> {
    const { tensor, order, offset } = this.#place(name);
    const { type } = this.file.info(tensor);
    const { dtype, shape, byteLength } = this.info(name);
    let data = this.file.read(tensor);
    if (order) data = unordered(data, shape[0]!, order);
    if (dtype !== type || offset !== 0) {
      const values = fromTensorType(type, data, this.kernels);
      if (offset !== 0) for (let i = 0; i < values.length; i++) values[i]! -= offset;
      data = new Uint8Array(values.buffer);
    }
    if (into === undefined) return { dtype, shape, data };
    into.set(data);
    return { dtype, shape, data: into.subarray(0, byteLength) };
  }

  same(a: string, b: string): boolean {
    if (!this.has(a) || !this.has(b)) return false;
    const [x, y] = [this.info(a), this.info(b)];
    return (
      x.dtype === y.dtype &&
      String(x.shape) === String(y.shape) &&
      Buffer.compare(this.read(a).data, this.read(b).data) === 0
    );
  }

  close(): void {
    this.file.close();
  }

  #place(name: string): Place {
    const place = this.places.get(name);
    if (place === undefined) throw new UserError(`${this.folder}: the weights have no tensor for '${name}'`);
    return place;
  }
}

function isPlain(type: keyof typeof TENSOR_TYPES): type is 'F32' | 'F16' | 'BF16' {
  return TENSOR_TYPES[type].block === 1;
}

/** Where each tensor of the checkpoint stands, in the file's order. Throws UserError for one that its architecture has not here. */
function placesOf(file: GgufFile, form: GgufForm): Map<string, Place> {
  const { names, orders, normOffset, extra } = form;
  /** Modules of the checkpoint by those of the file. */
  const modules = new Map<string, { readonly to: string; readonly module: string }>();
  for (const [to, module] of Object.entries(names.outside)) modules.set(module, { to, module });
  for (const { layers, blocks, count, inLayer } of names.stacks)
    for (let layer = 0; layer < count; layer++)
      for (const [part, module] of Object.entries(inLayer))
        modules.set(`${blocks}.${layer}.${module}`, { to: `${layers}.${layer}.${part}`, module });
  const places = new Map<string, Place>();
  for (const tensor of file.tensors.keys()) {
    if (Object.hasOwn(extra, tensor)) continue;
    const [, at = '', kind] = /^(.*)\.(weight|bias)$/.exec(tensor) ?? [];
    const found = modules.get(at);
    if (!found)
      throw new UserError(
        `${file.path}: tensor ${quote(tensor)} is nothing that a model of the architecture '${form.architecture}' has here: it is not read`,
      );
    const offset = /norm\.weight$/.test(tensor) ? normOffset : 0;
    places.set(`${found.to}.${kind!}`, { tensor, order: orders[found.module], offset });
  }
  return places;
}

/** Rows, or a bias's elements, in the order that they had. */
function unordered(data: Uint8Array, rows: number, order: RowOrder): Uint8Array {
  const out = new Uint8Array(data.length);
  const bytes = data.length / rows;
  for (let row = 0; row < rows; row++)
    out.set(data.subarray(row * bytes, (row + 1) * bytes), order(row) * bytes);
  return out;
}
