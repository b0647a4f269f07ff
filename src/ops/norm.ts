/** RMSNorm (Zhang and Sennrich, arXiv:1910.07467) and LayerNorm (Ba, Kiros and Hinton, arXiv:1607.06450). */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Tensor } from '../tensor/tensor.js';

/** A norm as a module. */
export interface RmsNorm {
  /** f32 [dim] */
  readonly weight: Parameter;
  /** What is added to the weight before it multiplies. */
  readonly weightOffset: 0 | 1;
  readonly eps: number;
}

/** x, of rows of dim elements, which may be heads' parts of longer ones; `residual`, of x's shape, is added to the result. */
export function rmsNorm(g: Graph, x: Tensor, norm: RmsNorm, residual?: Tensor): Tensor {
  const { weight, weightOffset, eps } = norm;
  const w = weight.value;
  const dim = w.length;
  const rows = x.length / dim;
  const y = g.empty(x.shape);
  const rstd = g.empty([rows], 'f32');
  g.kernels.rmsNorm({ x, w, weightOffset, y, rstd, rows, dim, eps });
  if (residual) g.kernels.add({ a: y, b: residual, y, n: y.length });
  if (g.records(x, w, residual)) {
    g.record(y, [x, rstd], (dy) => {
      const dw = weight.grad;
      const run = (dx: Tensor, accumulate: boolean): void =>
        g.kernels.rmsNormBackward({
          ...{ dy, x, w, weightOffset, rstd, dx, accumulate, rows, dim },
          ...(dw && { dw }),
        });
      if (x.needsGrad) g.addGrad(x, run);
      else if (dw) run(g.empty(x.shape), false);
      if (residual?.needsGrad) g.giveGrad(residual, dy);
    });
  }
  return y;
}

export interface LayerNorm {
  /** f32 [dim] */
  readonly weight: Parameter;
  /** f32 [dim] */
  readonly bias: Parameter;
  readonly eps: number;
}

/** x [rows, dim]. */
export function layerNorm(g: Graph, x: Tensor, { weight, bias, eps }: LayerNorm): Tensor {
  const [w, b] = [weight.value, bias.value];
  const dim = w.length;
  const rows = x.length / dim;
  const y = g.empty(x.shape);
  const [mean, rstd] = [g.empty([rows], 'f32'), g.empty([rows], 'f32')];
  g.kernels.layerNorm({ x, w, b, y, mean, rstd, rows, dim, eps });
  if (g.records(x, w, b)) {
    g.record(y, [x, mean, rstd], (dy) => {
      const [dw, db] = [weight.grad, bias.grad];
      const run = (dx: Tensor, accumulate: boolean): void =>
        g.kernels.layerNormBackward({
          ...{ dy, x, w, mean, rstd, dx, accumulate, rows, dim },
          ...(dw && { dw }),
          ...(db && { db }),
        });
      if (x.needsGrad) g.addGrad(x, run);
      else if (dw || db) run(g.empty(x.shape), false);
    });
  }
  return y;
}
