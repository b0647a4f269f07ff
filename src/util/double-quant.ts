/**
 * Double quantization (QLoRA, arXiv:2305.14314, section 3): the scales of NF4 blocks, less their mean, in eight bits each, by blocks
 * of 256, over the dynamic map of Dettmers et al., "8-bit optimizers via block-wise quantization" (arXiv:2110.02861), as
 * bitsandbytes computes them. Float32 arithmetic throughout: each rounding counts.
 */

const { fround } = Math;

/** Scales in a block. */
export const NESTED_BLOCK = 256;

/** absmax[b] ≈ map[codes[b]] · scales[b / 256] + offset */
export interface NestedScales {
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
  readonly offset: number;
}

/**
 * The 256 values in [-1, 1] that a code stands for, ascending: for each of seven powers of ten from 1e-6 to 1, twice as many as for
 * the one below, at the middles of an even division of [0.1, 1], with both signs; and 0, and 1.
 */
export function dynamicMap(): Float32Array<ArrayBuffer> {
  const values = [0, 1];
  for (let exponent = 0; exponent < 7; exponent++) {
    const power = fround(10 ** (exponent - 6));
    const borders = evenlySpaced(fround(0.1), 1, 2 ** exponent + 1);
    for (let i = 0; i + 1 < borders.length; i++) {
      const value = fround(power * fround(fround(borders[i]! + borders[i + 1]!) / 2));
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

/** `count` numbers from `start` to `end`, reckoned from the nearer end and rounded once, as torch.linspace does. */
function evenlySpaced(start: number, end: number, count: number): number[] {
  const step = fround(fround(end - start) / (count - 1));
  return Array.from({ length: count }, (_, i) =>
    fround(i < Math.floor(count / 2) ? start + step * i : end - step * (count - 1 - i)),
  );
}

/** Quantizes scales; `map` is `dynamicMap()`. */
export function quantizeScales(absmax: Float32Array, map: Float32Array): NestedScales {
  const offset = fround(absmax.reduce((sum, x) => sum + x, 0) / absmax.length);
  const codes = new Uint8Array(absmax.length);
  const scales = new Float32Array(Math.ceil(absmax.length / NESTED_BLOCK));
  for (let block = 0; block < scales.length; block++) {
    const start = block * NESTED_BLOCK;
    const centred = absmax.slice(start, start + NESTED_BLOCK).map((x) => x - offset);
    const largest = centred.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    scales[block] = largest;
    const inverse = largest === 0 ? 0 : fround(1 / largest);
    for (let i = 0; i < centred.length; i++) codes[start + i] = nearest(map, fround(centred[i]! * inverse));
  }
  return { codes, scales, offset };
}

/** The code whose value is nearest to x; of two equally near the even one, on which bitsandbytes' binary search ends. */
function nearest(map: Float32Array, x: number): number {
  let low = 0;
  let high = map.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (x > map[middle]!) low = middle;
    else high = middle;
  }
  const border = fround(fround(map[low]! + map[high]!) / 2);
  if (x === border) return low % 2 === 0 ? low : high;
  return x > border ? high : low;
}
