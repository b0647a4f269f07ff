/**
 * Blocks of 256 values in 8 groups, each with a scale and a least value of six bits over two of the block: Q4_K and Q5_K. Bytes as ggml's
 * `quantize_row_*_ref` makes them.
 */
import type { BlockFormat } from './block.js';
import { clamp, fitAbove, GROUP, nearest, type Steps } from './fit.js';
import { getHalf, putHalf } from './halves.js';

const f = Math.fround;
const N = 256;
const GROUPS = N / GROUP;
/** Both scales, then 12 bytes of the groups'. */
const SCALES = 4;
const REST = 16;

const levels = new Uint8Array(N);
const views = Array.from({ length: GROUPS }, (_, j) => levels.subarray(GROUP * j, GROUP * (j + 1)));
const scales = new Float32Array(GROUPS);
const mins = new Float32Array(GROUPS);
const found = new Float32Array(2);
const six = new Uint8Array(2);

/** Writes all but the levels, which are left in `levels`. */
function quantizeGroups(
  x: Float32Array,
  at: number,
  top: number,
  steps: Steps,
  to: Uint8Array,
  place: number,
): void {
  let [largestScale, largestMin] = [0, 0];
  for (let j = 0; j < GROUPS; j++) {
    fitAbove(x, at + GROUP * j, top, steps, views[j]!, found);
    scales[j] = found[0]!;
    mins[j] = found[1]!;
    largestScale = Math.max(largestScale, found[0]!);
    largestMin = Math.max(largestMin, found[1]!);
  }
  const inverseScale = largestScale > 0 ? f(63 / largestScale) : 0;
  const inverseMin = largestMin > 0 ? f(63 / largestMin) : 0;
  for (let j = 0; j < GROUPS; j++)
    putSix(
      to,
      place + SCALES,
      j,
      Math.min(63, nearest(f(inverseScale * scales[j]!)) & 255),
      Math.min(63, nearest(f(inverseMin * mins[j]!)) & 255),
    );
  const d = putHalf(to, place, f(largestScale / 63));
  const dMin = putHalf(to, place + 2, f(largestMin / 63));
  for (let j = 0; j < GROUPS; j++) {
    getSix(to, place + SCALES, j);
    const scale = f(d * six[0]!);
    if (scale === 0) continue;
    const min = f(dMin * six[1]!);
    for (let i = GROUP * j; i < GROUP * (j + 1); i++)
      levels[i] = clamp(nearest(f(f(x[at + i]! + min) / scale)), 0, top);
  }
}

/** A group's scale and least value: the first four groups' in six bits of a byte, the others' in four and the two that are left of those. */
function putSix(to: Uint8Array, place: number, j: number, scale: number, min: number): void {
  if (j < 4) {
    to[place + j] = scale;
    to[place + j + 4] = min;
    return;
  }
  to[place + j + 4] = (scale & 15) | ((min & 15) << 4);
  to[place + j - 4]! |= (scale >> 4) << 6;
  to[place + j]! |= (min >> 4) << 6;
}

/** Into `six`. */
function getSix(from: Uint8Array, place: number, j: number): void {
  if (j < 4) {
    six[0] = from[place + j]! & 63;
    six[1] = from[place + j + 4]! & 63;
    return;
  }
  six[0] = (from[place + j + 4]! & 15) | ((from[place + j - 4]! >> 6) << 4);
  six[1] = (from[place + j + 4]! >> 4) | ((from[place + j]! >> 6) << 4);
}

const Q4_STEPS: Steps = { from: -1, count: 20 };
const Q5_STEPS: Steps = { from: -0.5, count: 15 };

export const Q4_K: BlockFormat = {
  quantize(x, at, to, place) {
    quantizeGroups(x, at, 15, Q4_STEPS, to, place);
    putPairs(to, place + REST);
  },
  dequantize(from, place, y, at) {
    eachGroup(from, place, (j, scale, min) => {
      for (let i = 0; i < GROUP; i++)
        y[at + GROUP * j + i] = f(scale * lowBits(from, place + REST, j, i)) - min;
    });
  },
};

/** The fifth bits: a byte for each place in a group, a bit for each group. */
const HIGH = GROUP;

export const Q5_K: BlockFormat = {
  quantize(x, at, to, place) {
    quantizeGroups(x, at, 31, Q5_STEPS, to, place);
    const high = place + REST;
    to.fill(0, high, high + HIGH);
    for (let i = 0; i < N; i++) to[high + (i % GROUP)]! |= (levels[i]! >> 4) << Math.floor(i / GROUP);
    putPairs(to, high + HIGH);
  },
  dequantize(from, place, y, at) {
    const high = place + REST;
    eachGroup(from, place, (j, scale, min) => {
      for (let i = 0; i < GROUP; i++) {
        const level = lowBits(from, high + HIGH, j, i) + ((from[high + i]! >> j) & 1) * 16;
        y[at + GROUP * j + i] = f(scale * level) - min;
      }
    });
  },
};

/** The low four bits of all levels: those of two neighbouring groups share bytes. */
function putPairs(to: Uint8Array, place: number): void {
  for (let i = 0; i < N / 2; i++) {
    const first = 2 * GROUP * (i >> 5) + (i & 31);
    to[place + i] = (levels[first]! & 15) | ((levels[first + GROUP]! & 15) << 4);
  }
}

function lowBits(from: Uint8Array, place: number, j: number, i: number): number {
  const byte = from[place + GROUP * (j >> 1) + i]!;
  return j & 1 ? byte >> 4 : byte & 15;
}

function eachGroup(
  from: Uint8Array,
  place: number,
  go: (j: number, scale: number, min: number) => void,
): void {
  const [d, dMin] = [getHalf(from, place), getHalf(from, place + 2)];
  for (let j = 0; j < GROUPS; j++) {
    getSix(from, place + SCALES, j);
    go(j, f(d * six[0]!), f(dMin * six[1]!));
  }
}
