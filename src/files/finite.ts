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
  throw new UserError(
    `${path}: tensor '${name}' holds a value that is not finite, at ${placeText(at, shape)}: the file is damaged, or its training diverged`,
  );
}

const NAMES: Readonly<Record<Plain, string>> = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' };
/** The bits of the least magnitude that is rounded to infinity, by the type that values become and the one that they are of. */
const BEYOND: Readonly<Record<Plain, Partial<Record<Plain, number>>>> = {
  F32: { F32: 0x7f800000 },
  BF16: { F32: 0x7f7f8000 },
  F16: { F32: 0x477ff000, BF16: 0x4780 },
};

/** Throws UserError where finite values of the type `from` are infinite in the type `to`. `data` as for `firstNotFinite`. */
export function checkFits(
  path: string,
  name: string,
  from: Plain,
  to: Plain,
  shape: readonly number[],
  data: Uint8Array,
): void {
  const limit = BEYOND[to][from];
  if (limit === undefined) return;
  const bytes = data.byteOffset % 4 === 0 ? data : data.slice();
  const bits =
    from === 'F32'
      ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2)
      : new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1);
  const magnitude = from === 'F32' ? 0x7fffffff : 0x7fff;
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & magnitude) >= limit)
      throw new UserError(
        `${path}: tensor '${name}' has a value at ${placeText(i, shape)} that is too large for ${NAMES[to]}` +
          (to === 'F16' ? ': take bfloat16 or float32' : ''),
      );
}

function placeText(at: number, shape: readonly number[]): string {
  const place: number[] = [];
  for (let rest = at, d = shape.length - 1; d >= 0; rest = Math.floor(rest / shape[d]!), d--)
    place.unshift(rest % shape[d]!);
  return `[${place.join(', ')}]`;
}
