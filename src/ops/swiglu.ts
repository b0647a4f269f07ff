/** SiLU-gated product of a gated MLP (Shazeer, arXiv:2002.05202). */

import type { Graph } from '../autograd/graph.js';
import type { Tensor } from '../tensor/tensor.js';

/** silu(gate) · up, elementwise. */
export function swiglu(g: Graph, gate: Tensor, up: Tensor): Tensor {
  const n = gate.length;
  const y = g.empty(gate.shape);
  g.kernels.swiglu({ gate, up, y, n });
  if (g.records(gate, up)) {
    g.record(y, [gate, up], (dy) => {
      g.writeGrad(gate, (dGate) =>
        g.writeGrad(up, (dUp) => g.kernels.swigluBackward({ dy, gate, up, dGate, dUp, n })),
      );
    });
  }
  return y;
}
