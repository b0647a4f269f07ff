/** The table of token embeddings as a module: its checkpoint name and its rows, in whose place a call's adapter may bring others. */

import type { Parameter } from '../../autograd/parameter.js';
import type { DenseMatrix } from '../../backends/span.js';
import type { EmbeddingWeights } from '../../ops/embedding.js';

export class Embedding implements EmbeddingWeights {
  constructor(
    readonly name: string,
    readonly table: DenseMatrix,
    readonly parameter: Parameter,
    readonly scale: number,
  ) {}
}
