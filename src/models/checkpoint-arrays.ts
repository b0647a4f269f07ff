/** A checkpoint's arrays, one at a time, checked before they are believed and converted on the way to the backend. */

import type { Backend } from '../backends/contract.js';
import { checkFinite, checkFits, FLOAT_NAMES, type FloatType } from '../files/index.js';
import { storedFormat } from '../quant/formats.js';
import type { PackedMatrix, Values } from '../quant/packed.js';
import { Tensor } from '../tensor/tensor.js';
import { UserError } from '../util/errors.js';
import type { Weights } from './gguf-weights.js';
import type { ArraySource } from './source.js';

const FLOAT_TYPES: ReadonlyMap<string, FloatType> = new Map(
  Object.entries(FLOAT_NAMES).map(([type, name]) => [name, type as FloatType]),
);

export class CheckpointArrays implements ArraySource {
  constructor(
    private readonly backend: Backend,
    private readonly checkpoint: Weights,
    /** The folder, for messages. */
    readonly path: string,
  ) {}

  differs(own: string, tied: string): boolean {
    return this.checkpoint.has(own) && !this.checkpoint.same(own, tied);
  }

  array(name: string, shape: readonly number[], kept: 'auto' | FloatType): Tensor {
    const { dtype, data } = this.read(name, shape);
    checkFinite(this.path, name, FLOAT_NAMES[dtype], shape, data);
    const wanted = kept === 'auto' ? dtype : kept;
    checkFits(this.path, name, FLOAT_NAMES[dtype], FLOAT_NAMES[wanted], shape, data);
    const raw = Tensor.empty(this.backend, shape, dtype);
    this.backend.upload(data, raw);
    if (wanted === dtype) return raw;
    const values = Tensor.empty(this.backend, shape, wanted);
    this.backend.kernels.convert({ x: raw, y: values, n: raw.length });
    raw.release();
    return values;
  }

  async packed<M>(
    name: string,
    rows: number,
    cols: number,
    pack: (values: Values) => Promise<M>,
  ): Promise<M> {
    const { dtype, data } = this.read(name, [rows, cols]);
    try {
      return await pack({ data, dtype, rows, cols, name });
    } catch (error) {
      // What packing came upon is looked for in the file.
      checkFinite(this.path, name, FLOAT_NAMES[dtype], [rows, cols], data);
      throw error;
    }
  }

  stored(name: string): ((shape: readonly [number, number]) => PackedMatrix) | undefined {
    const source = {
      path: this.path,
      has: (part: string) => this.checkpoint.has(part),
      read: (part: string) => this.checkpoint.read(part),
    };
    const form = storedFormat(source, name)?.stored;
    return form && ((shape) => form.read(this.backend, source, name, shape));
  }

  private read(name: string, shape: readonly number[]): { dtype: FloatType; data: Uint8Array } {
    const { path, checkpoint } = this;
    if (!checkpoint.has(name))
      throw new UserError(`${path}: tensor '${name}' is missing, which its config.json asks for`);
    const room = this.backend.staging(checkpoint.info(name).byteLength);
    const { dtype, shape: found, data } = checkpoint.read(name, room);
    if (found.length !== shape.length || found.some((n, i) => n !== shape[i]))
      throw new UserError(
        `${path}: tensor '${name}' has shape [${found.join(', ')}], but config.json asks for [${shape.join(', ')}]`,
      );
    const float = FLOAT_TYPES.get(dtype);
    if (!float)
      throw new UserError(
        `${path}: tensor '${name}' has type ${dtype}; Westwind reads F32, BF16 and F16 weights`,
      );
    return { dtype: float, data };
  }
}
