/**
 * T5's bias of attention by distance (Raffel et al., arXiv:1910.10683, section 2.1): a table holds a value a head for each bucket of
 * distances, near ones alone in their bucket, far ones in buckets that grow as a logarithm. Here it is spread over the distances once, for
 * all layers that share it. A bucket is looked up as transformers' T5Attention does, in float32.
 */

import type { Graph } from '../autograd/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import type { EmbeddingWeights } from './embedding.js';

/** Names as in T5's config.json: relative_attention_num_buckets, relative_attention_max_distance. */
export interface Buckets {
  readonly num_buckets: number;
  readonly max_distance: number;
  /** Whether keys behind the query have buckets of their own (an encoder); else they share the query's. */
  readonly bidirectional: boolean;
}

/** The bucket of a distance, key less query. */
export function relativeBucket(distance: number, b: Buckets): number {
  const buckets = b.bidirectional ? Math.floor(b.num_buckets / 2) : b.num_buckets;
  const first = b.bidirectional && distance > 0 ? buckets : 0;
  const far = b.bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(buckets / 2);
  if (far < exact) return first + far;
  const { fround } = Math;
  const share = fround(fround(Math.log(fround(far / exact))) / fround(Math.log(b.max_distance / exact)));
  const above = Math.trunc(fround(share * (buckets - exact)));
  return first + Math.min(buckets - 1, exact + above);
}

/** How far distances of a sequence of `length` have to be told apart: from max_distance on they share the last bucket. */
export function relativeReach(length: number, { max_distance }: Buckets): number {
  return Math.max(1, Math.min(length, max_distance + 1));
}

/** Where each value of the bias [heads, 2 * reach - 1] stands in the table [num_buckets, heads]. */
export function relativePlaces(buckets: Buckets, heads: number, reach: number): Int32Array {
  const width = 2 * reach - 1;
  return Int32Array.from({ length: heads * width }, (_, i) => {
    const distance = (i % width) - (reach - 1);
    return relativeBucket(distance, buckets) * heads + Math.floor(i / width);
  });
}

/**
 * relative_attention_bias [num_buckets, heads] to the bias of `attention`, f32 [heads, 2 * reach - 1]. `places`: those of `relativePlaces`,
 * i32 on the device, since a recorded step uploads nothing.
 */
export function relativeBias(
  g: Graph,
  { table, parameter }: Omit<EmbeddingWeights, 'scale'>,
  places: Tensor,
): Tensor {
  const heads = table.cols;
  // A table of single numbers: an embedding that lays its result out by heads.
  const [rows, vocab, dim] = [places.length, table.rows * heads, 1];
  const y = g.empty([heads, rows / heads], 'f32');
  g.kernels.embedding({ table: { ...table, rows: vocab, cols: dim }, ids: places, y, rows });
  if (parameter && g.records(parameter.value)) {
    g.record(y, [places], (dy) => {
      const { grad: dTable } = parameter;
      if (dTable) g.kernels.embeddingBackward({ ids: places, dy, dTable, rows, vocab, dim });
    });
  }
  return y;
}
