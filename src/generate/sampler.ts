/**
 * Choosing the next token. A draw's random number is Philox's for (seed, prompt, position), so that an answer does not depend on which
 * others were generated beside it.
 */

import { philox4x32 } from '../util/philox.js';

/** Named as transformers' GenerationConfig. */
export interface SamplingOptions {
  readonly do_sample: boolean;
  readonly temperature: number;
  /** 1: all. */
  readonly top_p: number;
  /** 0: all. */
  readonly top_k: number;
  readonly seed: number;
}

/**
 * One token from a row of logits: temperature first, then the `top_k` likeliest, then of those the fewest whose probability reaches
 * `top_p` (Holtzman et al., arXiv:1904.09751). Equal logits keep the order of their ids.
 */
export function sampleToken(
  logits: Float32Array,
  options: SamplingOptions,
  prompt: number,
  position: number,
): number {
  const { temperature, top_p, top_k, seed } = options;
  const candidates = likeliest(logits, top_k);
  const largest = logits[candidates[0]!]!;
  const weights = candidates.map((id) => Math.exp((logits[id]! - largest) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let kept = 0;
  let mass = 0;
  while (kept < weights.length && (kept === 0 || mass < top_p * total)) mass += weights[kept++]!;
  const [word] = philox4x32([position, 0, 0, 0], [seed, prompt]);
  let left = (word / 2 ** 32) * mass;
  for (let i = 0; i < kept; i++) {
    left -= weights[i]!;
    if (left < 0) return candidates[i]!;
  }
  return candidates[kept - 1]!;
}

/** Ids from the likeliest down, `count` of them (0: all). */
function likeliest(logits: Float32Array, count: number): number[] {
  const byLogit = (a: number, b: number): number => logits[b]! - logits[a]! || a - b;
  const ids = Array.from(logits.keys());
  if (count <= 0 || count >= ids.length) return ids.sort(byLogit);
  // A full sort of a large vocabulary costs more than the model's own step: first find the smallest logit that can be in.
  const threshold = Float32Array.from(logits).sort()[logits.length - count]!;
  return ids
    .filter((id) => logits[id]! >= threshold)
    .sort(byLogit)
    .slice(0, count);
}
