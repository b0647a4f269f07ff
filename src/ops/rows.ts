/** Rows of activations: by their numbers, and scaled. */

import type { Graph } from '../autograd/graph.js';
import type { Tensor } from '../tensor/tensor.js';

/** y[i] = x[index[i]]: x [rows, dim], index i32 [n], y [n, dim]. For inference: nothing is recorded. */
export function pickRows(g: Graph, x: Tensor, index: Tensor): Tensor {
  if (g.records(x)) throw new Error('rows are picked for inference alone');
  const dim = x.shape.at(-1)!;
  const y = g.empty([index.length, dim]);
  g.kernels.gatherRows({ x, index, y, rows: index.length, dim });
  return y;
}

/** y = alpha · x; x itself where that is 1. */
export function scaleRows(g: Graph, x: Tensor, alpha: number): Tensor {
  if (alpha === 1) return x;
  const y = g.empty(x.shape);
  g.kernels.scale({ x, y, n: x.length, alpha });
  if (g.records(x))
    g.record(y, [], (dy) => g.writeGrad(x, (dx) => g.kernels.scale({ x: dy, y: dx, n: x.length, alpha })));
  return y;
}
