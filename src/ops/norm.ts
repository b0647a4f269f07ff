/** RMSNorm (Zhang and Sennrich, arXiv:1910.07467). */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Tensor } from '../tensor/tensor.js';

/** x [rows, dim], weight [dim]. */
export function rmsNorm(g: Graph, x: Tensor, weight: Parameter, eps: number): Tensor {
  const dim = weight.value.length;
  const rows = x.length / dim;
  const y = g.empty([rows, dim]);
  const rstd = g.empty([rows], 'f32');
  const w = weight.value;
  g.kernels.rmsNorm({ x, w, y, rstd, rows, dim, eps });
  if (g.records(x, w)) {
    g.record(y, [x, rstd], (dy) => {
      const dw = weight.grad;
      const run = (dx: Tensor, accumulate: boolean): void =>
        g.kernels.rmsNormBackward({ dy, x, w, rstd, dx, accumulate, rows, dim, ...(dw && { dw }) });
      if (x.needsGrad) g.addGrad(x, run);
      else run(g.empty(x.shape), false);
    });
  }
  return y;
}
