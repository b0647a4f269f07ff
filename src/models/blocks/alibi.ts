/**
 * Biases of attention by distance in the place of positions (ALiBi, arXiv:2108.12409), as transformers' Falcon has them: slopes rounded to
 * bfloat16, and scaled together with the scores. It multiplies slopes by the keys' places in bfloat16, too; that is exact for slopes which
 * are powers of two up to place 256, and else rounds by the place itself, where here the distance alone tells.
 */

import type { Backend } from '../../backends/contract.js';
import { bf16ToFloat32, float32ToBf16 } from '../../files/convert.js';
import { Tensor } from '../../tensor/tensor.js';

export class AlibiTable {
  private table: { readonly bias: Tensor; readonly reach: number } | undefined;
  /** Shorter ones, which steps that were recorded still read; together they are smaller than the table. */
  private readonly former: Tensor[] = [];
  private readonly slopes: Float32Array;

  constructor(
    private readonly backend: Backend,
    heads: number,
    private readonly scale: number,
  ) {
    this.slopes = bf16ToFloat32(float32ToBf16(alibiSlopes(heads)));
  }

  /** f32 [heads, 2 * reach - 1], as `attention` takes it, for sequences of at least `length`. */
  upTo(length: number): Tensor {
    if (this.table && this.table.reach >= length) return this.table.bias;
    if (this.table) this.former.push(this.table.bias);
    const reach = Math.max(256, 2 ** Math.ceil(Math.log2(length)));
    const width = 2 * reach - 1;
    const values = Float32Array.from({ length: this.slopes.length * width }, (_, i) => {
      const distance = (i % width) - (reach - 1);
      return this.slopes[Math.floor(i / width)]! * distance * this.scale;
    });
    const bias = Tensor.from(this.backend, values, [this.slopes.length, width]);
    this.table = { bias, reach };
    return bias;
  }

  dispose(): void {
    for (const bias of [...this.former.splice(0), ...(this.table ? [this.table.bias] : [])]) bias.release();
    this.table = undefined;
  }
}

/** 2^(-8/n), 2^(-16/n), … for n heads; where n is no power of two, those of the one below, then every other of the one above. */
export function alibiSlopes(heads: number): Float32Array {
  const below = 2 ** Math.floor(Math.log2(heads));
  return Float32Array.from({ length: heads }, (_, i) =>
    i < below ? 2 ** ((-8 * (i + 1)) / below) : 2 ** ((-8 * (2 * (i - below) + 1)) / (2 * below)),
  );
}
