/**
 * Double quantization of NF4's block scales (QLoRA, arXiv:2305.14314, section 3), as bitsandbytes does it: the mean is taken off, and what
 * is left is stored in blocks of 256 as one byte each by the dynamic 8-bit map of Dettmers (arXiv:1511.04561), a signed floating-point
 * format whose exponent's length varies.
 */

export const NESTED_BLOCK = 256;

export interface NestedScales {
  readonly codes: Uint8Array;
  readonly absmax: Float32Array;
  readonly map: Float32Array;
  readonly offset: number;
}

/** The 256 values of the dynamic map, ascending. */
export function dynamicMap(): Float32Array {
  const exponents = 7;
  const values: number[] = [0, 1];
  for (let e = 0; e < exponents; e++) {
    // Each step of the exponent takes a bit from the fraction: 2^e intervals over [0.1, 1], their midpoints scaled by a power of ten.
    const intervals = 2 ** e;
    for (let i = 0; i < intervals; i++) {
      const low = 0.1 + (0.9 * i) / intervals;
      const high = 0.1 + (0.9 * (i + 1)) / intervals;
      const value = ((low + high) / 2) * 10 ** (e - exponents + 1);
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

export function quantizeScales(scales: Float32Array): NestedScales {
  let sum = 0;
  for (const s of scales) sum += s;
  const offset = Math.fround(sum / scales.length);
  const map = dynamicMap();
  const blocks = Math.ceil(scales.length / NESTED_BLOCK);
  const absmax = new Float32Array(blocks);
  const codes = new Uint8Array(scales.length);
  for (let b = 0; b < blocks; b++) {
    const end = Math.min(scales.length, (b + 1) * NESTED_BLOCK);
    let max = 0;
    for (let i = b * NESTED_BLOCK; i < end; i++)
      max = Math.max(max, Math.abs(Math.fround(scales[i]! - offset)));
    absmax[b] = max;
    const inverse = max === 0 ? 0 : Math.fround(1 / max);
    for (let i = b * NESTED_BLOCK; i < end; i++)
      codes[i] = nearest(map, Math.fround(Math.fround(scales[i]! - offset) * inverse));
  }
  return { codes, absmax, map, offset };
}

/** The index of the value closest to x in an ascending table; the lower of two that are equally close. */
function nearest(map: Float32Array, x: number): number {
  let low = 0;
  let high = map.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (map[middle]! <= x) low = middle;
    else high = middle;
  }
  return x - map[low]! <= map[high]! - x ? low : high;
}
