/** The kernels' mathematics once more, in plain double precision and indexed as the papers do: what the reference is checked by. */

import type { GateActivation } from '../../../src/backends/kernels.js';
import type { Numbers } from './harness.js';

/** The gradient of `loss` with respect to x by central differences. */
export function numericGradient(x: Numbers, loss: (x: Float64Array) => number): Float64Array {
  const at = Float64Array.from(x);
  const step = 1e-5;
  return at.map((value, i) => {
    at[i] = value + step;
    const above = loss(at);
    at[i] = value - step;
    const below = loss(at);
    at[i] = value;
    return (above - below) / (2 * step);
  });
}

/** Σ x · y */
export function inner(x: Numbers, y: Numbers): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** `offset` is what weights have beside w. */
export function rmsNorm(
  x: Numbers,
  w: Numbers,
  offset: number,
  eps: number,
): { y: number[]; rstd: number[] } {
  const dim = w.length;
  const y: number[] = [];
  const rstd: number[] = [];
  for (let r = 0; r < x.length / dim; r++) {
    const row = Array.from({ length: dim }, (_, i) => x[r * dim + i]!);
    const scale = 1 / Math.sqrt(inner(row, row) / dim + eps);
    rstd.push(scale);
    y.push(...row.map((v, i) => v * scale * (offset + w[i]!)));
  }
  return { y, rstd };
}

export function gatedUnit(activation: GateActivation, gate: Numbers, up: Numbers): number[] {
  return Array.from(gate, (g, i) => {
    // 1 + tanh(z) is 2 / (1 + e^-2z), which loses nothing where the tanh is near -1.
    const slope = activation === 'silu' ? g : 2 * Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3);
    return (g / (1 + Math.exp(-slope))) * up[i]!;
  });
}

/** The losses of the rows, 0 without a target. */
export function crossEntropy(logits: Numbers, targets: Numbers, smoothing = 0): number[] {
  const vocab = logits.length / targets.length;
  return Array.from(targets, (target, r) => {
    if (target < 0) return 0;
    let most = -Infinity;
    for (let i = 0; i < vocab; i++) most = Math.max(most, logits[r * vocab + i]!);
    let sum = 0;
    for (let i = 0; i < vocab; i++) sum += Math.exp(logits[r * vocab + i]! - most);
    const ofToken = (i: number): number => Math.log(sum) + most - logits[r * vocab + i]!;
    let all = 0;
    for (let i = 0; smoothing > 0 && i < vocab; i++) all += ofToken(i);
    return (1 - smoothing) * ofToken(target) + (smoothing * all) / vocab;
  });
}

export interface Heads {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly window: number;
  /** Absent: true, or false in cross attention. */
  readonly causal?: boolean;
  /** Cross attention: the length of the other sequence. */
  readonly keyLength?: number;
  /** With a bias by distance. */
  readonly reach?: number;
}

/** What only some calls of attention have. */
export interface More {
  readonly keySegments?: Numbers | undefined;
  readonly bias?: Numbers | undefined;
}

export const attentionScale = ({ headDim }: Heads): number => 1 / Math.sqrt(headDim);

export function attention(
  s: Heads,
  segments: Numbers,
  q: Numbers,
  k: Numbers,
  v: Numbers,
  { keySegments = segments, bias }: More = {},
): { out: Float64Array; lse: Float64Array } {
  const { batch, length, heads, kvHeads, headDim, keyLength = length, reach = 1 } = s;
  const { causal = s.keyLength === undefined } = s;
  const out = new Float64Array(batch * length * heads * headDim);
  const lse = new Float64Array(batch * heads * length);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < length; i++) {
        const segment = segments[b * length + i]!;
        if (segment < 0) continue;
        const scores: [key: number, exp: number][] = [];
        const query = ((b * length + i) * heads + h) * headDim;
        for (let j = 0; j < keyLength; j++) {
          if (causal && j > i) continue;
          if (s.window > 0 && i - j >= s.window) continue;
          if (keySegments[b * keyLength + j] !== segment) continue;
          const key = ((b * keyLength + j) * kvHeads + Math.floor((h * kvHeads) / heads)) * headDim;
          let score = 0;
          for (let d = 0; d < headDim; d++) score += q[query + d]! * k[key + d]!;
          score *= attentionScale(s);
          const nearest = Math.min(Math.max(j - i, 1 - reach), reach - 1);
          if (bias) score += bias[h * (2 * reach - 1) + reach - 1 + nearest]!;
          scores.push([key, Math.exp(score)]);
        }
        if (scores.length === 0) continue;
        const total = scores.reduce((sum, [, e]) => sum + e, 0);
        for (const [key, e] of scores)
          for (let d = 0; d < headDim; d++) out[query + d]! += (e / total) * v[key + d]!;
        lse[(b * heads + h) * length + i] = Math.log(total);
      }
  return { out, lse };
}

/** Whether `numericGradient` is quick enough on so many numbers. */
export const small = (n: number): boolean => n <= 100;
