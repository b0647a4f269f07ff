/**
 * Attention over whole sequences, query by query: out_i = Σ_j p_ij · v_j with p_ij = exp(s_ij - lse_i), s_ij = scale · q_i · k_j + b_(j-i),
 * over the keys j that query i sees. Its gradient, with D_i = dOut_i · out_i (FlashAttention-2, arXiv:2307.08691, section 2):
 * ds_ij = p_ij · (dOut_i · v_j - D_i), dq_i = scale · Σ_j ds_ij · k_j, dk_j = scale · Σ_i ds_ij · q_i, dv_j = Σ_i p_ij · dOut_i,
 * db_d = Σ_i ds_i(i+d).
 */

import type { AttentionShape, DistanceBias, Kernels } from '../kernels.js';
import { f32, i32 } from './memory.js';

export const attention: Kernels['attention'] = (args) => {
  const { headDim, scale } = args;
  const [queries, keys] = sizes(args);
  const q = f32(args.q, queries);
  const k = f32(args.k, keys);
  const v = f32(args.v, keys);
  const out = f32(args.out, queries).fill(0);
  const lse = f32(args.lse, queries / headDim).fill(0);
  const bias = biasOf(args.bias, args.heads);
  const p = new Float64Array(keyLength(args));
  const sum = new Float64Array(headDim);
  eachQuery(args, ({ query, row, visible, keyAt, head, place }) => {
    let most = -Infinity;
    for (const j of visible) {
      p[j] = scale * dot(q, query, k, keyAt(j), headDim) + bias.at(head, j - place);
      most = Math.max(most, p[j]);
    }
    let total = 0;
    for (const j of visible) total += p[j] = Math.exp(p[j]! - most);
    sum.fill(0);
    for (const j of visible) addScaled(sum, 0, p[j]! / total, v, keyAt(j), headDim);
    out.set(sum, query);
    lse[row] = most + Math.log(total);
  });
};

export const attentionBackward: Kernels['attentionBackward'] = (args) => {
  const { headDim, scale, heads } = args;
  const [queries, keys] = sizes(args);
  const q = f32(args.q, queries);
  const k = f32(args.k, keys);
  const v = f32(args.v, keys);
  const bias = biasOf(args.bias, heads);
  const dBias = new Float64Array(args.dBias ? bias.length : 0);
  const out = f32(args.out, queries);
  const dOut = f32(args.dOut, queries);
  const lse = f32(args.lse, queries / headDim);
  const dq = new Float64Array(queries);
  const dk = new Float64Array(keys);
  const dv = new Float64Array(keys);
  eachQuery(args, ({ query, row, visible, keyAt, head, place }) => {
    const delta = dot(dOut, query, out, query, headDim);
    for (const j of visible) {
      const key = keyAt(j);
      const score = scale * dot(q, query, k, key, headDim) + bias.at(head, j - place);
      const p = Math.exp(score - lse[row]!);
      const ds = p * (dot(dOut, query, v, key, headDim) - delta);
      addScaled(dq, query, scale * ds, k, key, headDim);
      addScaled(dk, key, scale * ds, q, query, headDim);
      addScaled(dv, key, p, dOut, query, headDim);
      if (args.dBias) dBias[bias.indexOf(head, j - place)]! += ds;
    }
  });
  f32(args.dq, queries).set(dq);
  f32(args.dk, keys).set(dk);
  f32(args.dv, keys).set(dv);
  if (args.dBias) {
    const to = f32(args.dBias, dBias.length);
    dBias.forEach((sum, i) => (to[i]! += sum));
  }
};

/** One query of one head. */
interface Query {
  readonly head: number;
  /** Its place in the sequence. */
  readonly place: number;
  /** Where its vector begins in q. */
  readonly query: number;
  /** Its place in lse, [batch, heads, length]. */
  readonly row: number;
  /** Keys that it sees, as places in the sequence. */
  readonly visible: readonly number[];
  /** Where such a key's vector begins in k and v. */
  readonly keyAt: (j: number) => number;
}

/** Calls `visit` for every query that sees a key. */
function eachQuery(shape: AttentionShape, visit: (query: Query) => void): void {
  const { batch, length, heads, kvHeads, headDim } = shape;
  const others = keyLength(shape);
  const segments = i32(shape.segments, batch * length);
  const keySegments = shape.keys ? i32(shape.keys.segments, batch * others) : segments;
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < length; i++) {
      const segment = segments[b * length + i]!;
      const visible = visibleKeys(segment, keySegments.subarray(b * others, (b + 1) * others), i, shape);
      if (visible.length === 0) continue;
      for (let h = 0; h < heads; h++) {
        const kvHead = Math.floor(h / (heads / kvHeads));
        visit({
          head: h,
          place: i,
          query: ((b * length + i) * heads + h) * headDim,
          row: (b * heads + h) * length + i,
          visible,
          keyAt: (j) => ((b * others + j) * kvHeads + kvHead) * headDim,
        });
      }
    }
  }
}

function visibleKeys(segment: number, segments: Int32Array, i: number, shape: AttentionShape): number[] {
  const keys: number[] = [];
  if (segment < 0) return keys;
  const { causal, window } = shape;
  const last = causal ? i : segments.length - 1;
  for (let j = window > 0 ? Math.max(0, i - window + 1) : 0; j <= last; j++)
    if (segments[j] === segment) keys.push(j);
  return keys;
}

function keyLength({ length, keys }: AttentionShape): number {
  return keys?.length ?? length;
}

/** Elements of q and of k. */
function sizes(shape: AttentionShape): [number, number] {
  const { batch, length, heads, kvHeads, headDim } = shape;
  return [batch * length * heads * headDim, batch * keyLength(shape) * kvHeads * headDim];
}

/** A bias by head and distance, key less query; 0 where there is none. */
export function biasOf(
  bias: DistanceBias | undefined,
  heads: number,
): {
  readonly length: number;
  at(head: number, distance: number): number;
  indexOf(head: number, distance: number): number;
} {
  if (!bias) return { length: 0, at: () => 0, indexOf: () => -1 };
  const { reach } = bias;
  const length = heads * (2 * reach - 1);
  const values = f32(bias.values, length);
  const indexOf = (head: number, distance: number): number =>
    head * (2 * reach - 1) + Math.max(0, Math.min(2 * reach - 2, distance + reach - 1));
  return { length, indexOf, at: (head, distance) => values[indexOf(head, distance)]! };
}

/** Σ x[xAt + d] · y[yAt + d] */
export function dot(x: Float32Array, xAt: number, y: Float32Array, yAt: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += x[xAt + d]! * y[yAt + d]!;
  return sum;
}

/** sum[at + d] += factor · x[xAt + d] */
export function addScaled(
  sum: Float64Array,
  at: number,
  factor: number,
  x: Float32Array,
  xAt: number,
  n: number,
): void {
  for (let d = 0; d < n; d++) sum[at + d]! += factor * x[xAt + d]!;
}
