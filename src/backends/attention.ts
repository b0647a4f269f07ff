/** What every backend asks of the arguments of a call of attention. */

import type { Span } from './contract.js';
import type { AttentionShape, DistanceBias } from './kernels.js';

/** Throws where a call over sequences is none that the contract knows. */
export function checkAttention(
  name: string,
  shape: AttentionShape & { readonly dBias?: Span | undefined },
): void {
  const { causal, window, keys, bias, dBias } = shape;
  if (!causal && window !== 0) throw new RangeError(`${name}: a window of ${window} without causality`);
  if (keys && (causal || bias))
    throw new RangeError(`${name}: cross attention is neither causal nor has it a bias`);
  if (dBias && !bias) throw new RangeError(`${name}: a gradient of no bias`);
  checkBias(name, bias, shape.heads, dBias);
}

/** Throws where a bias by distance, or its gradient, is not f32 [heads, 2 * reach - 1]. */
export function checkBias(
  name: string,
  bias: DistanceBias | undefined,
  heads: number,
  gradient?: Span,
): void {
  if (!bias) return;
  const needed = heads * (2 * bias.reach - 1);
  for (const span of [bias.values, gradient ?? bias.values]) {
    if (span.dtype !== 'f32') throw new TypeError(`${name}: the bias is ${span.dtype}, not f32`);
    if (bias.reach < 1 || span.length < needed)
      throw new RangeError(`${name}: the bias has ${span.length} elements, needs ${needed}`);
  }
}
