/** A layer's attention of decoder rows to what stands before them: in their own segments, or in the cache, which they are written to. */

import type { Pass } from '../../ops/pass.js';
import { attention, attentionCached } from '../../ops/attention.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ModelInput } from '../model.js';

/** Heads as AttentionShape has them. */
export interface AttendShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly window: number;
}

/** q [rows, heads, headDim], k and v [rows, kvHeads, headDim] of layer `index`; `bias` as `attention` takes it. */
export function attendBefore(
  g: Pass,
  { q, k, v }: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  index: number,
  { positions, segments, cache }: ModelInput,
  shape: AttendShape,
  bias?: Tensor,
): Tensor {
  const rows = positions.length;
  if (cache) {
    const { store, slotOf } = cache;
    const stored = store.write(g, index, k, v, { slotOf, positions });
    if (!segments) return attentionCached(g, q, stored, { slotOf, positions }, shape, bias);
  }
  if (!segments) throw new Error('rows without segments need a cache to attend to');
  return attention(g, q, k, v, { batch: 1, length: rows, ...shape, causal: true, segments }, { bias });
}
