/** Keys and values of the sequences that are being generated: for each layer [slots, capacity, kvHeads, headDim]. */

import type { Graph } from '../../autograd/graph.js';
import type { Backend } from '../../backends/contract.js';
import type { KvCacheShape } from '../../backends/kernels.js';
import { Tensor } from '../../tensor/tensor.js';
import { checkWhole } from '../../util/checks.js';

export class KvCache {
  /** Its measures, as kernels take them. */
  readonly shape: KvCacheShape;
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];

  constructor(
    backend: Backend,
    { layers, ...shape }: KvCacheShape & { readonly layers: number },
    precision: 'f32' | 'bf16',
    /** Those of the encoder's texts, to which a decoder's layers attend across. */
    readonly across?: KvCache,
  ) {
    checkWhole('slots', shape.slots, 1);
    checkWhole('capacity', shape.capacity, 1);
    this.shape = shape;
    const dtype = precision === 'bf16' ? backend.activations : 'f32';
    const dims = [shape.slots, shape.capacity, shape.kvHeads, shape.headDim];
    const make = (): Tensor[] => Array.from({ length: layers }, () => Tensor.empty(backend, dims, dtype));
    this.keys = make();
    this.values = make();
  }

  /** A layer's, as kernels take them. */
  layer(index: number): KvCacheShape & { readonly keys: Tensor; readonly values: Tensor } {
    return { ...this.shape, keys: this.keys[index]!, values: this.values[index]! };
  }

  /** Keeps a layer's keys and values [rows, kvHeads, headDim], each row's in its slot at its place. */
  write(
    g: Graph,
    index: number,
    k: Tensor,
    v: Tensor,
    { slotOf, positions }: { readonly slotOf: Tensor; readonly positions: Tensor },
  ): ReturnType<KvCache['layer']> {
    const layer = this.layer(index);
    const rows = positions.length;
    g.kernels.cacheWrite({ ...this.shape, x: k, cache: layer.keys, slotOf, positions, rows });
    g.kernels.cacheWrite({ ...this.shape, x: v, cache: layer.values, slotOf, positions, rows });
    return layer;
  }

  dispose(): void {
    this.across?.dispose();
    for (const t of [...this.keys, ...this.values]) t.release();
  }
}
