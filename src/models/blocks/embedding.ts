/** The table of token embeddings as a module: its checkpoint name and its rows, which an adapter may bring in the place of the base's. */

import type { Parameter } from '../../autograd/parameter.js';
import type { DenseMatrix } from '../../backends/contract.js';
import type { EmbeddingWeights } from '../../ops/embedding.js';

export class Embedding implements EmbeddingWeights {
  constructor(
    readonly name: string,
    /** Set by adapters/tables.ts, too. */
    public table: DenseMatrix,
    readonly parameter: Parameter,
    readonly scale: number,
  ) {}
}
