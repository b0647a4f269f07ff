/** The scales of blocks: binary16, little-endian. */
import { f16Values, halfBits } from '../../files/index.js';

const value = new Float32Array(1);
const bits = new Uint32Array(value.buffer);

/** Writes a scale; what it is when it is read again. */
export function putHalf(to: Uint8Array, at: number, scale: number): number {
  value[0] = scale;
  const half = halfBits(bits[0]!);
  to[at] = half & 0xff;
  to[at + 1] = half >>> 8;
  return f16Values()[half]!;
}

export function getHalf(from: Uint8Array, at: number): number {
  return f16Values()[from[at]! | (from[at + 1]! << 8)]!;
}
