/** Token embedding, with NEFTune's noise (Jain et al., arXiv:2310.05914) in training. */

import type { Pass } from './pass.js';
import type { Parameter } from '../autograd/parameter.js';
import type { DenseMatrix, Span } from '../backends/span.js';
import type { RandomStream } from '../backends/kernels.js';
import { slice, type Tensor } from '../tensor/tensor.js';

export interface EmbeddingWeights {
  /** [vocab, dim] */
  readonly table: DenseMatrix;
  /** The same table where it can be trained. */
  readonly parameter?: Parameter | undefined;
  /** What a row is multiplied by. */
  readonly scale: number;
}

/** Noise on some rows. */
export interface Neftune {
  readonly first: number;
  /** f32 [its rows]: alpha / sqrt(L·d), L the length of the row's text. */
  readonly magnitude: Span;
  /** Element 0 is the first of its rows. */
  readonly random: RandomStream;
}

/** ids i32 [rows] to [rows, dim]; `encoder`: they are of the model's encoder, of which members have their own rows. */
export function embedding(
  g: Pass,
  ids: Tensor,
  w: EmbeddingWeights,
  neftune: readonly Neftune[] = [],
  encoder = false,
): Tensor {
  const { scale } = w;
  const { rows: vocab, cols: dim } = w.table;
  const rows = ids.length;
  const y = g.empty([rows, dim]);
  // Members whose adapters bring no tables stand in one call.
  const own = g.members.some(({ pairs }) => pairs?.tables?.has(w));
  let first = 0;
  for (const { pairs, ...member } of own ? g.members : [{ rows, encoderRows: rows, pairs: undefined }]) {
    const n = (encoder ? member.encoderRows : member.rows) ?? rows;
    const table = pairs?.tables?.get(w) ?? w.table;
    const part = { ids: slice(ids, first, n), y: slice(y, first * dim, n * dim) };
    if (n > 0) g.kernels.embedding({ table, ...part, rows: n });
    first += n;
  }
  if (scale !== 1) g.kernels.scale({ x: y, y, n: y.length, alpha: scale });
  for (const { first, magnitude, random } of neftune) {
    const x = slice(y, first * dim, magnitude.length * dim);
    g.kernels.addUniformNoise({ x, magnitude, rows: magnitude.length, dim, random });
  }
  const { parameter } = w;
  if (parameter && g.records(parameter.value)) {
    g.record(y, [ids], (dOutput) => {
      if (!parameter.grad) return;
      let dy = dOutput;
      if (scale !== 1) {
        dy = g.empty(dOutput.shape);
        g.kernels.scale({ x: dOutput, y: dy, n: dy.length, alpha: scale });
      }
      g.kernels.embeddingBackward({ ids, dy, dTable: parameter.grad, rows, vocab, dim });
    });
  }
  return y;
}
