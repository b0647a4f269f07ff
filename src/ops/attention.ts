/** Rotary embedding and causal attention: over whole sequences (training, prompts), and over a key-value cache (decoding). */

import type { Graph } from '../autograd/graph.js';
import type { AttentionShape, KvCacheShape, Span } from '../backends/contract.js';
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

/** q [batch, length, heads, headDim] over k, v [batch, length, kvHeads, headDim]. */
export function attention(g: Graph, q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape): Tensor {
  const out = g.empty(q.shape);
  const lse = g.empty([shape.batch, shape.heads, shape.length], 'f32');
  g.kernels.attention({ ...shape, q, k, v, out, lse });
  if (g.records(q, k, v)) {
    g.record(out, [q, k, v, out, lse], (dOut) => {
      g.writeGrad(q, (dq) =>
        g.writeGrad(k, (dk) =>
          g.writeGrad(v, (dv) =>
            g.kernels.attentionBackward({ ...shape, q, k, v, out, dOut, lse, dq, dk, dv }),
          ),
        ),
      );
    });
  }
  return out;
}

/** One query row a sequence, or several consecutive ones, over the cache (no gradient). q [rows, heads, headDim]. */
export function attentionCached(
  g: Graph,
  q: Tensor,
  cache: KvCacheShape & { keys: Span; values: Span },
  at: { slotOf: Span; positions: Span },
  shape: { heads: number; scale: number; window: number },
): Tensor {
  const out = g.empty(q.shape);
  const rows = q.length / (shape.heads * cache.headDim);
  g.kernels.attentionCached({ ...cache, ...at, ...shape, q, out, rows });
  return out;
}
