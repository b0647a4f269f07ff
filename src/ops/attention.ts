/**
 * Rotary embedding and attention: over whole sequences (training, prompts), of one sequence to another, and over a key-value cache
 * (decoding). What is added to scores by distance is a tensor with a gradient; T5's comes out of src/ops/relative-bias.ts.
 */

import type { Graph } from '../autograd/graph.js';
import { shareOf, type Pass } from './pass.js';
import type { Span } from '../backends/span.js';
import type { AttentionShape, CrossKeys, DistanceBias, KvCacheShape } from '../backends/kernels.js';
import type { Tensor } from '../tensor/tensor.js';

export interface Rotation {
  /** f32 [positions, rotaryDim / 2] */
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly rotaryDim: number;
}

/** x [rows, heads, headDim] turned by its row's position (arXiv:2104.09864). */
export function rope(
  g: Graph,
  x: Tensor,
  positions: Span,
  rotation: Rotation,
  heads: number,
  headDim: number,
): Tensor {
  const rows = x.length / (heads * headDim);
  const { cos, sin, rotaryDim } = rotation;
  const y = g.empty(x.shape);
  const shape = { cos, sin, positions, rows, heads, headDim, rotaryDim };
  g.kernels.rope({ ...shape, x, y, inverse: false });
  if (g.records(x)) {
    g.record(y, [], (dy) =>
      g.writeGrad(x, (dx) => g.kernels.rope({ ...shape, x: dy, y: dx, inverse: true })),
    );
  }
  return y;
}

/** Beside the shape: what not every call has. */
export interface AttentionOptions {
  /** f32 [heads, 2 * reach - 1], by distance as in DistanceBias; may want a gradient. */
  readonly bias?: Tensor | undefined;
  /** The rows are of the model's encoder, of which members have their own. */
  readonly encoder?: boolean;
}

/** q [batch, length, heads, headDim] over k, v [batch, length, kvHeads, headDim] of the same sequence; of several members' rows batch is 1. */
export function attention(
  g: Pass,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shape: Omit<AttentionShape, 'keys' | 'bias'>,
  { bias, encoder = false }: AttentionOptions = {},
): Tensor {
  const calls = callsOf(g, bias ? { ...shape, bias: distanceBias(bias) } : shape, encoder);
  return attend(g, q, k, v, calls, shape, bias);
}

/**
 * q [batch, length, heads, headDim] over k, v [batch, keys.length, kvHeads, headDim] of another sequence: a query sees what bears its
 * segment's number there, all of it. Of several members' rows batch is 1.
 */
export function crossAttention(
  g: Pass,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shape: Omit<AttentionShape, 'keys' | 'bias' | 'causal' | 'window'> & { readonly keys: CrossKeys },
): Tensor {
  return attend(g, q, k, v, callsOf(g, { ...shape, causal: false, window: 0 }, false), shape);
}

/** One of the kernel's calls, with its share of tensors that have queries' rows, and keys'. */
interface Call {
  readonly shape: AttentionShape;
  readonly ofQueries: (t: Tensor) => Span;
  readonly ofKeys: (t: Tensor) => Span;
}

/** Kernels take rows by tiles: members that are sequences of their own get the bits that they get alone. */
function callsOf(g: Pass, shape: AttentionShape, encoder: boolean): Call[] {
  const { groups } = g;
  const whole = (t: Tensor): Span => t;
  if (!groups) return [{ shape, ofQueries: whole, ofKeys: whole }];
  const { length, segments, keys } = shape;
  return groups.map((group) => {
    const queries = encoder ? group.encoderRows : group.rows;
    const others = keys ? group.encoderRows : queries;
    return {
      shape: {
        ...shape,
        batch: queries.count,
        length: queries.rows,
        segments: shareOf(segments, queries, 1),
        ...(keys && { keys: { length: others.rows, segments: shareOf(keys.segments, others, 1) } }),
      },
      ofQueries: (t) => shareOf(t, queries, t.length / length),
      ofKeys: (t) => shareOf(t, others, t.length / (keys?.length ?? length)),
    };
  });
}

function attend(
  g: Pass,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  calls: readonly Call[],
  { batch, heads, length }: Pick<AttentionShape, 'batch' | 'heads' | 'length'>,
  bias?: Tensor,
): Tensor {
  const out = g.empty(q.shape);
  const lse = g.empty([batch, heads, length], 'f32');
  for (const { shape, ofQueries, ofKeys } of calls)
    g.kernels.attention({
      ...{ ...shape, q: ofQueries(q), k: ofKeys(k), v: ofKeys(v), out: ofQueries(out), lse: ofQueries(lse) },
    });
  if (g.records(q, k, v, bias)) {
    g.record(out, [q, k, v, bias, out, lse], (dOut) => {
      const backward = (dBias?: Tensor): void =>
        g.writeGrad(q, (dq) =>
          g.writeGrad(k, (dk) =>
            g.writeGrad(v, (dv) => {
              for (const { shape, ofQueries, ofKeys } of calls)
                g.kernels.attentionBackward({
                  ...{ ...shape, q: ofQueries(q), k: ofKeys(k), v: ofKeys(v), out: ofQueries(out), dBias },
                  ...{
                    dOut: ofQueries(dOut),
                    lse: ofQueries(lse),
                    dq: ofQueries(dq),
                    dk: ofKeys(dk),
                    dv: ofKeys(dv),
                  },
                });
            }),
          ),
        );
      if (!bias?.needsGrad) {
        backward();
        return;
      }
      g.addGrad(bias, (dBias, accumulate) => {
        if (!accumulate) g.kernels.fill({ y: dBias, n: dBias.length, value: 0 });
        backward(dBias);
      });
    });
  }
  return out;
}

/** [heads, 2 * reach - 1] as the kernels take it. */
function distanceBias(values: Tensor): DistanceBias {
  return { values, reach: (values.shape.at(-1)! + 1) / 2 };
}

/** One query row a sequence, or several consecutive ones, over the cache (no gradient). q [rows, heads, headDim]; `bias` as AttentionOptions has it. */
export function attentionCached(
  g: Graph,
  q: Tensor,
  cache: KvCacheShape & { keys: Span; values: Span },
  at: { slotOf: Span; positions: Span },
  shape: { heads: number; scale: number; window: number },
  bias?: Tensor,
): Tensor {
  const out = g.empty(q.shape);
  const rows = q.length / (shape.heads * cache.headDim);
  const more = bias ? { bias: distanceBias(bias) } : {};
  g.kernels.attentionCached({ ...cache, ...at, ...shape, ...more, q, out, rows });
  return out;
}
