/** Keys and values of the sequences that are being generated: for each layer [slots, capacity, kvHeads, headDim]. */

import type { Backend, KvCacheShape } from '../../backends/contract.js';
import { Tensor } from '../../tensor/tensor.js';

export class KvCache implements KvCacheShape {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];

  constructor(
    backend: Backend,
    layers: number,
    readonly slots: number,
    readonly capacity: number,
    readonly kvHeads: number,
    readonly headDim: number,
  ) {
    const shape = [slots, capacity, kvHeads, headDim];
    this.keys = Array.from({ length: layers }, () => Tensor.empty(backend, shape));
    this.values = Array.from({ length: layers }, () => Tensor.empty(backend, shape));
  }

  /** Its measures, as kernels take them. */
  get shape(): KvCacheShape {
    const { slots, capacity, kvHeads, headDim } = this;
    return { slots, capacity, kvHeads, headDim };
  }

  dispose(): void {
    for (const t of [...this.keys, ...this.values]) t.release();
  }
}
