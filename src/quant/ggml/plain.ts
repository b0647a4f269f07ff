/**
 * Blocks of 32 values with one scale: Q8_0, Q4_0 and Q5_0, and Q5_1, which has a least value besides. Bytes as ggml's `quantize_row_*_ref`
 * makes them, every operation rounded to float32.
 */
import type { BlockFormat } from './block.js';
import { getHalf, putHalf } from './halves.js';

const f = Math.fround;
const N = 32;
const HALF = N / 2;

function inverseOf(d: number): number {
  return d ? f(1 / d) : 0;
}

/** Half away from zero, as C's roundf. */
function rounded(x: number): number {
  return x < 0 ? -Math.round(-x) : Math.round(x);
}

export const Q8_0: BlockFormat = {
  quantize(x, at, to, place) {
    let largest = 0;
    for (let i = 0; i < N; i++) largest = Math.max(largest, Math.abs(x[at + i]!));
    const d = f(largest / 127);
    const inverse = inverseOf(d);
    putHalf(to, place, d);
    for (let i = 0; i < N; i++) to[place + 2 + i] = rounded(f(x[at + i]! * inverse));
  },
  dequantize(from, place, y, at) {
    const d = getHalf(from, place);
    for (let i = 0; i < N; i++) y[at + i] = ((from[place + 2 + i]! << 24) >> 24) * d;
  },
};

/** The value that is the largest without its sign. */
function extreme(x: Float32Array, at: number): number {
  let largest = 0;
  let signed = 0;
  for (let i = 0; i < N; i++) {
    const v = x[at + i]!;
    if (largest < Math.abs(v)) {
      largest = Math.abs(v);
      signed = v;
    }
  }
  return signed;
}

export const Q4_0: BlockFormat = {
  quantize(x, at, to, place) {
    const d = f(extreme(x, at) / -8);
    const inverse = inverseOf(d);
    putHalf(to, place, d);
    const level = (v: number): number => Math.min(15, f(f(v * inverse) + 8.5) | 0);
    for (let i = 0; i < HALF; i++) to[place + 2 + i] = level(x[at + i]!) | (level(x[at + HALF + i]!) << 4);
  },
  dequantize(from, place, y, at) {
    const d = getHalf(from, place);
    for (let i = 0; i < HALF; i++) {
      const q = from[place + 2 + i]!;
      y[at + i] = ((q & 15) - 8) * d;
      y[at + HALF + i] = ((q >> 4) - 8) * d;
    }
  },
};

/** Writes the low four bits of 32 levels of five bits, in the halves of bytes, behind a word of the fifth bits. */
function putFive(levels: Uint8Array, to: Uint8Array, place: number): void {
  let high = 0;
  for (let i = 0; i < HALF; i++) {
    const [a, b] = [levels[i]!, levels[HALF + i]!];
    to[place + 4 + i] = (a & 15) | ((b & 15) << 4);
    high |= ((a >> 4) << i) | ((b >> 4) << (i + HALF));
  }
  for (let i = 0; i < 4; i++) to[place + i] = high >>> (8 * i);
}

function getFive(from: Uint8Array, place: number, i: number): number {
  const low = i < HALF ? from[place + 4 + i]! & 15 : from[place + 4 + i - HALF]! >> 4;
  return low | (((from[place + (i >> 3)]! >> (i & 7)) & 1) << 4);
}

const five = new Uint8Array(N);

export const Q5_0: BlockFormat = {
  quantize(x, at, to, place) {
    const d = f(extreme(x, at) / -16);
    const inverse = inverseOf(d);
    putHalf(to, place, d);
    for (let i = 0; i < N; i++) five[i] = Math.min(31, f(f(x[at + i]! * inverse) + 16.5) | 0);
    putFive(five, to, place + 2);
  },
  dequantize(from, place, y, at) {
    const d = getHalf(from, place);
    for (let i = 0; i < N; i++) y[at + i] = (getFive(from, place + 2, i) - 16) * d;
  },
};

export const Q5_1: BlockFormat = {
  quantize(x, at, to, place) {
    let [low, high] = [x[at]!, x[at]!];
    for (let i = 1; i < N; i++) {
      const v = x[at + i]!;
      if (v < low) low = v;
      if (v > high) high = v;
    }
    const d = f(f(high - low) / 31);
    const inverse = inverseOf(d);
    putHalf(to, place, d);
    putHalf(to, place + 2, low);
    for (let i = 0; i < N; i++) five[i] = f(f(f(x[at + i]! - low) * inverse) + 0.5) | 0;
    putFive(five, to, place + 4);
  },
  dequantize(from, place, y, at) {
    const [d, low] = [getHalf(from, place), getHalf(from, place + 2)];
    for (let i = 0; i < N; i++) y[at + i] = f(getFive(from, place + 4, i) * d) + low;
  },
};
