/** Keys and values of the sequences that are being generated: for each layer [slots, capacity, kvHeads, headDim]. */

import type { Backend, KvCacheShape } from '../../backends/contract.js';
import { Tensor } from '../../tensor/tensor.js';

export class KvCache {
  /** Its measures, as kernels take them. */
  readonly shape: KvCacheShape;
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];

  constructor(
    backend: Backend,
    { layers, ...shape }: KvCacheShape & { readonly layers: number },
    precision: 'f32' | 'bf16',
  ) {
    this.shape = shape;
    const dtype = precision === 'bf16' ? backend.activations : 'f32';
    const dims = [shape.slots, shape.capacity, shape.kvHeads, shape.headDim];
    const make = (): Tensor[] => Array.from({ length: layers }, () => Tensor.empty(backend, dims, dtype));
    this.keys = make();
    this.values = make();
  }

  dispose(): void {
    for (const t of [...this.keys, ...this.values]) t.release();
  }
}
