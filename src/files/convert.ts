/**
 * Conversions between the floating-point formats of checkpoints and float32, on whole arrays. IEEE 754: binary16 has 5 exponent
 * and 10 fraction bits; bfloat16 is the upper half of a binary32. Narrowing rounds to nearest, ties to even, as PyTorch does.
 * Typed arrays have the machine's byte order and the format is little-endian, as is every machine that Node.js 20 supports
 * with this program's backends.
 */
import type { Dtype } from './dtype.js';

/** Element types that hold real numbers. */
export type FloatDtype = Extract<Dtype, 'F64' | 'F32' | 'F16' | 'BF16'>;

/**
 * The elements of `bytes` as float32. F32 bytes that lie aligned are viewed, not copied; everything else is a new array.
 */
export function toFloat32(dtype: FloatDtype, bytes: Uint8Array): Float32Array {
  switch (dtype) {
    case 'F32':
      return aligned(Float32Array, bytes);
    case 'F64':
      return Float32Array.from(aligned(Float64Array, bytes));
    case 'BF16':
      return bf16ToFloat32(aligned(Uint16Array, bytes));
    case 'F16':
      return f16ToFloat32(aligned(Uint16Array, bytes));
  }
}

/** The bytes of float32 values in another format; F32 gives a view of the same memory. */
export function fromFloat32(dtype: FloatDtype, values: Float32Array): Uint8Array {
  switch (dtype) {
    case 'F32':
      return bytesOf(values);
    case 'F64':
      return bytesOf(Float64Array.from(values));
    case 'BF16':
      return bytesOf(float32ToBf16(values));
    case 'F16':
      return bytesOf(float32ToF16(values));
  }
}

/** bfloat16 bit patterns to float32, exactly. */
export function bf16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

/** float32 to bfloat16 bit patterns, round to nearest even; every NaN becomes the quiet NaN 0x7fc0. */
export function float32ToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    out[i] = (x & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}

let halves: Float32Array | undefined;

/** The value of every binary16 bit pattern. */
export function f16Values(): Float32Array {
  return (halves ??= Float32Array.from({ length: 65536 }, (_, half) => halfValue(half)));
}

/** binary16 bit patterns to float32, exactly, through a table of all 65,536 values. */
export function f16ToFloat32(bits: Uint16Array): Float32Array {
  const table = f16Values();
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]!]!;
  return out;
}

/** float32 to binary16 bit patterns, round to nearest even; what is 65520 or more in size becomes infinite. */
export function float32ToF16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfBits(bits[i]!);
  return out;
}

/** The bit pattern in binary16 of what has the bits `x` in binary32. */
export function halfBits(x: number): number {
  const abs = x & 0x7fffffff;
  let half: number;
  if (abs > 0x7f800000) half = 0x7e00;
  else if (abs >= 0x477ff000) half = 0x7c00;
  // Normal: rebias the exponent from 127 to 15 and round the 13 bits that go; a carry runs into the exponent, rightly.
  else if (abs >= 0x38800000) half = (abs - 0x38000000 + 0xfff + ((abs >>> 13) & 1)) >>> 13;
  else if (abs >= 0x33000000) half = subnormalHalf(abs);
  else half = 0;
  return half | ((x >>> 16) & 0x8000);
}

/** For 2^-25 <= |x| < 2^-14: the multiple of 2^-24 nearest to x. */
function subnormalHalf(abs: number): number {
  const shift = 126 - (abs >>> 23);
  const mantissa = (abs & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return kept + (rest > tie || (rest === tie && (kept & 1) === 1) ? 1 : 0);
}

function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (0x400 + fraction) * 2 ** (exponent - 25);
}

interface NumericArray<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}

/** The bytes seen as another element type; copied only where they do not lie on its alignment. */
function aligned<T>(type: NumericArray<T>, bytes: Uint8Array): T {
  const source = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new type(source.buffer, source.byteOffset, source.byteLength / type.BYTES_PER_ELEMENT);
}

function bytesOf(array: Float32Array | Float64Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
