/** What every backend asks of the shape of a call of attention. */

import type { AttentionShape, Span } from './contract.js';

/** Throws where a call is none that the contract knows. */
export function checkAttention(
  name: string,
  shape: AttentionShape & { readonly dBias?: Span | undefined },
): void {
  const { causal, window, keys, bias, heads } = shape;
  if (!causal && window !== 0) throw new RangeError(`${name}: a window of ${window} without causality`);
  if (keys && (causal || bias))
    throw new RangeError(`${name}: cross attention is neither causal nor has it a bias`);
  if (shape.dBias && !bias) throw new RangeError(`${name}: a gradient of no bias`);
  for (const span of [bias?.values, shape.dBias]) {
    if (!span || !bias) continue;
    if (span.dtype !== 'f32') throw new TypeError(`${name}: the bias is ${span.dtype}, not f32`);
    const needed = heads * (2 * bias.reach - 1);
    if (bias.reach < 1 || span.length < needed)
      throw new RangeError(`${name}: the bias has ${span.length} elements, needs ${needed}`);
  }
}
