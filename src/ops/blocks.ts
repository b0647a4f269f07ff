/**
 * Splitting rows into blocks of columns: queries, keys and values out of one fused product, in which heads lie interleaved. A block is
 * a row of the same memory taken as [rows * blocks, size], so that the kernels which pick rows by their numbers do it.
 */

import type { Graph } from '../autograd/graph.js';
import { slice, type Tensor } from '../tensor/tensor.js';

/** Which blocks of each row a part takes, in its order. */
export interface BlockPart {
  readonly blocks: number;
  /** i32 [at least rows * blocks]: the numbers of the blocks, all rows' blocks counted through. */
  readonly index: Tensor;
}

/**
 * x [rows, blocks * size] to a tensor [rows, its blocks * size] for each part. Every block belongs to just one part and each part gets a
 * gradient: only then is x's written whole, once.
 */
export function splitBlocks(g: Graph, x: Tensor, parts: readonly BlockPart[], size: number): Tensor[] {
  const rows = x.length / size / parts.reduce((n, part) => n + part.blocks, 0);
  return parts.map((part) => {
    const n = rows * part.blocks;
    const index = slice(part.index, 0, n);
    const y = g.empty([rows, part.blocks * size]);
    g.kernels.gatherRows({ x, index, y, rows: n, dim: size });
    if (g.records(x))
      g.record(y, [], (dy) =>
        g.addGrad(x, (dx) => g.kernels.scatterRows({ x: dy, index, y: dx, rows: n, dim: size })),
      );
    return y;
  });
}
