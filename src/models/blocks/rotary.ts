/**
 * Tables of the rotary embedding's angles. Frequencies and angles are rounded to float32 as transformers computes them, because far
 * down a long text the rounding itself is what a model was trained with.
 */

import type { Backend } from '../../backends/contract.js';
import type { Rotation } from '../../ops/attention.js';
import { Tensor } from '../../tensor/tensor.js';
import { UserError } from '../../util/errors.js';

/** `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of 4, in one shape. */
export interface RopeParameters {
  readonly rope_type: string;
  readonly rope_theta: number;
  readonly factor?: number | undefined;
  readonly low_freq_factor?: number | undefined;
  readonly high_freq_factor?: number | undefined;
  readonly original_max_position_embeddings?: number | undefined;
}

export class RotaryTable {
  private table: (Rotation & { length: number }) | undefined;
  /** Shorter ones, which steps that were recorded still read; together they are smaller than the table. */
  private readonly former: Rotation[] = [];
  private readonly frequencies: Float32Array;

  constructor(
    private readonly backend: Backend,
    private readonly rotaryDim: number,
    parameters: RopeParameters,
  ) {
    this.frequencies = inverseFrequencies(rotaryDim, parameters);
  }

  /** Tables of at least `length` positions. */
  upTo(length: number): Rotation {
    if (this.table && this.table.length >= length) return this.table;
    if (this.table) this.former.push(this.table);
    const rows = Math.max(256, 2 ** Math.ceil(Math.log2(length)));
    const half = this.rotaryDim / 2;
    const cos = new Float32Array(rows * half);
    const sin = new Float32Array(rows * half);
    for (let p = 0, i = 0; p < rows; p++) {
      for (let f = 0; f < half; f++, i++) {
        const angle = Math.fround(p * this.frequencies[f]!);
        cos[i] = Math.cos(angle);
        sin[i] = Math.sin(angle);
      }
    }
    const shape = [rows, half];
    this.table = {
      cos: Tensor.from(this.backend, cos, shape),
      sin: Tensor.from(this.backend, sin, shape),
      rotaryDim: this.rotaryDim,
      length: rows,
    };
    return this.table;
  }

  dispose(): void {
    for (const { cos, sin } of [...this.former.splice(0), ...(this.table ? [this.table] : [])]) {
      cos.release();
      sin.release();
    }
    this.table = undefined;
  }
}

/** theta^(-2i/dim), stretched by the scaling the checkpoint names. */
export function inverseFrequencies(dim: number, p: RopeParameters): Float32Array {
  const plain = Float32Array.from({ length: dim / 2 }, (_, i) => 1 / p.rope_theta ** ((2 * i) / dim));
  switch (p.rope_type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((f) => f / required(p, 'factor'));
    case 'llama3': {
      // Llama 3.1: wavelengths beyond the original context are stretched whole, short ones left, those between blended.
      const factor = required(p, 'factor');
      const low = required(p, 'low_freq_factor');
      const high = required(p, 'high_freq_factor');
      const context = required(p, 'original_max_position_embeddings');
      return plain.map((f) => {
        const turns = (context * f) / (2 * Math.PI);
        if (turns < low) return f / factor;
        if (turns > high) return f;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
    }
    default:
      throw new UserError(
        `config.json: rope_type '${p.rope_type}' is not supported; Westwind knows default, linear and llama3`,
      );
  }
}

function required(p: RopeParameters, key: Exclude<keyof RopeParameters, 'rope_type'>): number {
  const value = p[key];
  if (value === undefined)
    throw new UserError(`config.json: rope_type '${p.rope_type}' needs ${key}, which is missing`);
  return value;
}
