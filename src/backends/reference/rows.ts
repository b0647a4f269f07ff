/** Rows picked by index: the embedding and its gradient, gathering and scattering. */

import type { Kernels } from '../kernels.js';
import { f32, i32, readFloats } from './memory.js';

export const embedding: Kernels['embedding'] = ({ table, ids, y, rows }) => {
  const at = i32(ids, rows);
  const out = f32(y, rows * table.cols);
  for (let r = 0; r < rows; r++)
    out.set(readFloats(table.data, table.cols, rowOf(at[r]!, table.rows) * table.cols), r * table.cols);
};

export const embeddingBackward: Kernels['embeddingBackward'] = ({ ids, dy, dTable, rows, vocab, dim }) => {
  const at = i32(ids, rows);
  const from = f32(dy, rows * dim);
  const to = f32(dTable, vocab * dim);
  for (let r = 0; r < rows; r++) {
    const start = rowOf(at[r]!, vocab) * dim;
    for (let i = 0; i < dim; i++) to[start + i]! += from[r * dim + i]!;
  }
};

export const gatherRows: Kernels['gatherRows'] = ({ x, index, y, rows, dim }) => {
  const at = i32(index, rows);
  const from = f32(x, x.length);
  const to = f32(y, rows * dim);
  for (let r = 0; r < rows; r++) {
    const start = rowOf(at[r]!, from.length / dim) * dim;
    to.set(from.subarray(start, start + dim), r * dim);
  }
};

export const scatterRows: Kernels['scatterRows'] = ({ x, index, y, rows, dim }) => {
  const at = i32(index, rows);
  const from = f32(x, rows * dim);
  const to = f32(y, y.length);
  for (let r = 0; r < rows; r++)
    to.set(from.subarray(r * dim, (r + 1) * dim), rowOf(at[r]!, to.length / dim) * dim);
};

function rowOf(index: number, rows: number): number {
  if (index < 0 || index >= rows) throw new RangeError(`row ${index} of ${rows}`);
  return index;
}
