/**
 * Rotary embedding and attention: over whole sequences (training, prompts), of one sequence to another, and over a key-value cache
 * (decoding). What is added to scores by distance is a tensor with a gradient; T5's comes out of src/ops/relative-bias.ts.
 */

import type { Graph } from '../autograd/graph.js';
import type { Span } from '../backends/contract.js';
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

/**
 * q [batch, length, heads, headDim] over k, v [batch, length, kvHeads, headDim] of the same sequence. `bias` f32 [heads, 2 * reach - 1], by
 * distance as in DistanceBias, may want a gradient.
 */
export function attention(
  g: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shape: Omit<AttentionShape, 'keys' | 'bias'>,
  bias?: Tensor,
): Tensor {
  return attend(g, q, k, v, bias ? { ...shape, bias: distanceBias(bias) } : shape, bias);
}

/**
 * q [batch, length, heads, headDim] over k, v [batch, keys.length, kvHeads, headDim] of another sequence: a query sees what bears its
 * segment's number there, all of it.
 */
export function crossAttention(
  g: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shape: Omit<AttentionShape, 'keys' | 'bias' | 'causal' | 'window'> & { readonly keys: CrossKeys },
): Tensor {
  return attend(g, q, k, v, { ...shape, causal: false, window: 0 });
}

function attend(g: Graph, q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape, bias?: Tensor): Tensor {
  const out = g.empty(q.shape);
  const lse = g.empty([shape.batch, shape.heads, shape.length], 'f32');
  g.kernels.attention({ ...shape, q, k, v, out, lse });
  if (g.records(q, k, v, bias)) {
    g.record(out, [q, k, v, bias, out, lse], (dOut) => {
      const backward = (dBias?: Tensor): void =>
        g.writeGrad(q, (dq) =>
          g.writeGrad(k, (dk) =>
            g.writeGrad(v, (dv) =>
              g.kernels.attentionBackward({ ...shape, q, k, v, out, dOut, lse, dq, dk, dv, dBias }),
            ),
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

/** One query row a sequence, or several consecutive ones, over the cache (no gradient). q [rows, heads, headDim]; `bias` as above. */
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
