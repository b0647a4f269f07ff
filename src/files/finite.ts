/**
 * Whether what a checkpoint or an adapter holds are numbers: a NaN or an infinity would be answered from, or trained on, without a word. A
 * value of IEEE 754 is not finite where all bits of its exponent are set, so that bits alone are looked at, two values at once where a
 * value has sixteen.
 */

import { UserError } from '../util/errors.js';

type Plain = 'F32' | 'BF16' | 'F16';

/** Bits of the exponent of all values in a word of 32 bits, and its lowest bit: their sum carries into the sign where all are set. */
const WORDS: Readonly<
  Record<Plain, { readonly exponent: number; readonly lowest: number; readonly sign: number }>
> = {
  F32: { exponent: 0x7f800000, lowest: 0x00800000, sign: 0x80000000 },
  BF16: { exponent: 0x7f807f80, lowest: 0x00800080, sign: 0x80008000 },
  F16: { exponent: 0x7c007c00, lowest: 0x04000400, sign: 0x80008000 },
};
/** Words that are looked at together. */
const CHUNK = 4096;

/**
 * The place of the first value that is not finite, -1 where there is none. `data`: little-endian values of the type; bytes that lie
 * unaligned are copied.
 */
export function firstNotFinite(dtype: Plain, data: Uint8Array): number {
  const { exponent, lowest, sign } = WORDS[dtype];
  const size = dtype === 'F32' ? 4 : 2;
  const bytes = data.byteOffset % 4 === 0 ? data : data.slice();
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  for (let first = 0; first < words.length; first += CHUNK) {
    const end = Math.min(first + CHUNK, words.length);
    let carried = 0;
    for (let i = first; i < end; i++) carried |= ((words[i]! & exponent) + lowest) | 0;
    if ((carried & sign) !== 0) return placeFrom((first * 4) / size);
  }
  // A last value of sixteen bits alone.
  return placeFrom((words.length * 4) / size);

  /** Value by value. */
  function placeFrom(start: number): number {
    const mask = exponent >>> (size === 4 ? 0 : 16);
    const values =
      size === 4 ? words : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1);
    for (let i = start; i < values.length; i++) if ((values[i]! & mask) === mask) return i;
    return -1;
  }
}

/**
 * Throws UserError where a tensor of a file holds a value that is not finite; the message names file, tensor and place. Types without
 * such values pass.
 */
export function checkFinite(
  path: string,
  name: string,
  dtype: string,
  shape: readonly number[],
  data: Uint8Array,
): void {
  if (dtype !== 'F32' && dtype !== 'BF16' && dtype !== 'F16') return;
  const at = firstNotFinite(dtype, data);
  if (at < 0) return;
  const place: number[] = [];
  for (let rest = at, d = shape.length - 1; d >= 0; rest = Math.floor(rest / shape[d]!), d--)
    place.unshift(rest % shape[d]!);
  throw new UserError(
    `${path}: tensor '${name}' holds a value that is not finite, at [${place.join(', ')}]: the file is damaged, or its training diverged`,
  );
}
