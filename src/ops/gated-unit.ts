/** The gated unit of an MLP (Shazeer, arXiv:2002.05202). */

import type { Graph } from '../autograd/graph.js';
import type { GateActivation } from '../backends/kernels.js';
import type { Tensor } from '../tensor/tensor.js';

/** activation(gate) · up, elementwise. */
export function gatedUnit(g: Graph, gate: Tensor, up: Tensor, activation: GateActivation): Tensor {
  const n = gate.length;
  const y = g.empty(gate.shape);
  g.kernels.gatedUnit({ activation, gate, up, y, n });
  if (g.records(gate, up)) {
    g.record(y, [gate, up], (dy) => {
      g.writeGrad(gate, (dGate) =>
        g.writeGrad(up, (dUp) => g.kernels.gatedUnitBackward({ activation, dy, gate, up, dGate, dUp, n })),
      );
    });
  }
  return y;
}
