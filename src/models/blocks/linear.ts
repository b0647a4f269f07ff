/** A Linear layer as a module: its checkpoint name, and its weight in whatever form it was loaded. */

import type { Parameter } from '../../autograd/parameter.js';
import type { Matrix } from '../../backends/span.js';
import type { LinearWeights } from '../../ops/linear.js';

export class Linear implements LinearWeights {
  constructor(
    readonly name: string,
    /** Set by models/unpacked.ts, too. */
    public weight: Matrix,
    readonly parameter: Parameter | undefined,
    readonly bias: Parameter | undefined,
  ) {}

  get inFeatures(): number {
    return this.weight.cols;
  }

  get outFeatures(): number {
    return this.weight.rows;
  }
}

/** Of one row through all of them. */
export function multiplyAdds(linears: Iterable<Linear>): number {
  let n = 0;
  for (const { inFeatures, outFeatures } of linears) n += inFeatures * outFeatures;
  return n;
}
