/** The activation of an MLP without a gate: GELU (arXiv:1606.08415) or ReLU. */

import type { Graph } from '../autograd/graph.js';
import type { Activation } from '../backends/kernels.js';
import type { Tensor } from '../tensor/tensor.js';

/** activation(x), elementwise. */
export function activate(g: Graph, x: Tensor, activation: Activation): Tensor {
  const n = x.length;
  const y = g.empty(x.shape);
  g.kernels.activate({ x, y, n, activation });
  if (g.records(x)) {
    g.record(y, [x], (dy) =>
      g.writeGrad(x, (dx) => g.kernels.activateBackward({ dy, x, dx, n, activation })),
    );
  }
  return y;
}
