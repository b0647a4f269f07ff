/** Blocks of 256 values in 16 groups, each with a scale of eight bits over one of the block. Bytes as ggml's `quantize_row_q6_K_ref` makes them. */
import type { BlockFormat } from './block.js';
import { clamp, fitAround, GROUP_EPS, nearest } from './fit.js';
import { getHalf, putHalf } from './halves.js';

const f = Math.fround;
const N = 256;
const GROUP = 16;
const GROUPS = N / GROUP;
const BYTES = 210;
/** Four bits of each level, then two of each, then the groups' scales, then the block's. */
const [HIGH, SCALES, SCALE] = [N / 2, N / 2 + N / 4, N / 2 + N / 4 + GROUPS] as const;

const levels = new Uint8Array(N);
const views = Array.from({ length: GROUPS }, (_, j) => levels.subarray(GROUP * j, GROUP * (j + 1)));
const scales = new Float32Array(GROUPS);

export const Q6_K: BlockFormat = {
  quantize(x, at, to, place) {
    let largest = 0;
    let signed = 0;
    for (let j = 0; j < GROUPS; j++) {
      const scale = fitAround(x, at + GROUP * j, GROUP, 32, views[j]!);
      scales[j] = scale;
      if (Math.abs(scale) > largest) {
        largest = Math.abs(scale);
        signed = scale;
      }
    }
    if (largest < GROUP_EPS) {
      to.fill(0, place, place + BYTES);
      return;
    }
    const inverse = f(-128 / signed);
    const d = putHalf(to, place + SCALE, f(1 / inverse));
    for (let j = 0; j < GROUPS; j++) {
      const own = (Math.min(127, nearest(f(inverse * scales[j]!))) << 24) >> 24;
      to[place + SCALES + j] = own;
      const scale = f(d * own);
      if (scale === 0) continue;
      for (let i = GROUP * j; i < GROUP * (j + 1); i++)
        levels[i] = clamp(nearest(f(x[at + i]! / scale)), -32, 31) + 32;
    }
    for (let i = 0; i < N / 4; i++) {
      // Each half of a block has four rows of 32, whose places share bytes.
      const [half, l] = [i >> 5, i & 31];
      const of = (row: number): number => levels[128 * half + 32 * row + l]!;
      to[place + 64 * half + l] = (of(0) & 15) | ((of(2) & 15) << 4);
      to[place + 64 * half + 32 + l] = (of(1) & 15) | ((of(3) & 15) << 4);
      to[place + HIGH + i] = (of(0) >> 4) | ((of(1) >> 4) << 2) | ((of(2) >> 4) << 4) | ((of(3) >> 4) << 6);
    }
  },
  dequantize(from, place, y, at) {
    const d = getHalf(from, place + SCALE);
    for (let i = 0; i < N; i++) {
      const [half, row, l] = [i >> 7, (i >> 5) & 3, i & 31];
      const byte = from[place + 64 * half + 32 * (row & 1) + l]!;
      const low = row < 2 ? byte & 15 : byte >> 4;
      const high = (from[place + HIGH + 32 * half + l]! >> (2 * row)) & 3;
      const own = (from[place + SCALES + (i >> 4)]! << 24) >> 24;
      y[at + i] = f(d * own) * ((low | (high << 4)) - 32);
    }
  },
};
