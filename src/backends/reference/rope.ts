/** Rotary embedding (arXiv:2104.09864) in Hugging Face's halves: pairs (i, i + rotaryDim / 2) of each head are turned. */

import type { Kernels } from '../kernels.js';
import { f32, i32 } from './memory.js';

export const rope: Kernels['rope'] = (args) => {
  const { rows, heads, headDim, rotaryDim, inverse } = args;
  const half = rotaryDim / 2;
  const x = f32(args.x, rows * heads * headDim);
  const y = f32(args.y, rows * heads * headDim);
  const cosines = f32(args.cos, args.cos.length);
  const sines = f32(args.sin, args.sin.length);
  const positions = i32(args.positions, rows);
  for (let r = 0; r < rows; r++) {
    const table = positions[r]! * half;
    if (table < 0 || table + half > cosines.length)
      throw new RangeError(`rope: position ${positions[r]!} lies beyond the tables`);
    for (let h = 0; h < heads; h++) {
      const at = (r * heads + h) * headDim;
      for (let i = 0; i < half; i++) {
        const cos = cosines[table + i]!;
        const sin = inverse ? -sines[table + i]! : sines[table + i]!;
        const a = x[at + i]!;
        const b = x[at + half + i]!;
        y[at + i] = a * cos - b * sin;
        y[at + half + i] = b * cos + a * sin;
      }
      y.set(x.subarray(at + rotaryDim, at + headDim), at + rotaryDim);
    }
  }
};
