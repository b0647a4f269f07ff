/** Attention of single queries over a key-value cache (decoding), and the writes into that cache. */

import type { Kernels } from '../kernels.js';
import { addScaled, biasOf, dot } from './attention.js';
import { f32, i32, readFloats, writeFloats } from './memory.js';

export const cacheWrite: Kernels['cacheWrite'] = (args) => {
  const { rows, capacity } = args;
  const dim = args.kvHeads * args.headDim;
  const x = f32(args.x, rows * dim);
  const slotOf = i32(args.slotOf, rows);
  const positions = i32(args.positions, rows);
  for (let r = 0; r < rows; r++) {
    if (positions[r]! >= capacity)
      throw new RangeError(`position ${positions[r]!} in a cache of ${capacity}`);
    const at = (slotOf[r]! * capacity + positions[r]!) * dim;
    writeFloats(args.cache, x.subarray(r * dim, (r + 1) * dim), at);
  }
};

export const attentionCached: Kernels['attentionCached'] = (args) => {
  const { rows, heads, kvHeads, headDim, capacity, scale, window } = args;
  const dim = kvHeads * headDim;
  const q = f32(args.q, rows * heads * headDim);
  const out = f32(args.out, rows * heads * headDim);
  const slotOf = i32(args.slotOf, rows);
  const positions = i32(args.positions, rows);
  const bias = biasOf(args.bias, heads);
  for (let r = 0; r < rows; r++) {
    const position = positions[r]!;
    const first = window > 0 ? Math.max(0, position - window + 1) : 0;
    const count = position - first + 1;
    const at = (slotOf[r]! * capacity + first) * dim;
    const keys = readFloats(args.keys, count * dim, at);
    const values = readFloats(args.values, count * dim, at);
    const p = new Float64Array(count);
    for (let h = 0; h < heads; h++) {
      const query = (r * heads + h) * headDim;
      const part = Math.floor(h / (heads / kvHeads)) * headDim;
      for (let j = 0; j < count; j++)
        p[j] = scale * dot(q, query, keys, j * dim + part, headDim) + bias.at(h, first + j - position);
      const most = p.reduce((a, b) => Math.max(a, b));
      let total = 0;
      for (let j = 0; j < count; j++) total += p[j] = Math.exp(p[j]! - most);
      const sum = new Float64Array(headDim);
      for (let j = 0; j < count; j++) addScaled(sum, 0, p[j]! / total, values, j * dim + part, headDim);
      out.set(sum, query);
    }
  }
};
