/** Token embedding, with NEFTune's noise (Jain et al., arXiv:2310.05914) in training. */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { DenseMatrix, Span } from '../backends/contract.js';
import type { Tensor } from '../tensor/tensor.js';

export interface EmbeddingWeights {
  /** [vocab, dim] */
  readonly table: DenseMatrix;
  /** The same table where it can be trained. */
  readonly parameter?: Parameter | undefined;
}

export interface Neftune {
  /** f32 [rows]: alpha / sqrt(L·d), L the length of the row's text; 0 leaves a row as it is. */
  readonly magnitude: Span;
  readonly stream: number;
}

/** ids i32 [rows] to [rows, dim]. */
export function embedding(g: Graph, ids: Tensor, w: EmbeddingWeights, neftune?: Neftune): Tensor {
  const { rows: vocab, cols: dim } = w.table;
  const rows = ids.length;
  const y = g.empty([rows, dim]);
  g.kernels.embedding({ table: w.table, ids, y, rows });
  if (neftune && g.training) {
    const { magnitude, stream } = neftune;
    g.kernels.addUniformNoise({ x: y, magnitude, rows, dim, random: g.random(stream) });
  }
  const { parameter } = w;
  if (parameter && g.records(parameter.value)) {
    g.record(y, [ids], (dy) => {
      if (parameter.grad) g.kernels.embeddingBackward({ ids, dy, dTable: parameter.grad, rows, vocab, dim });
    });
  }
  return y;
}
