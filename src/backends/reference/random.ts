/**
 * Normal numbers, dropout and NEFTune's noise (arXiv:2310.05914) from counter-based streams: the number of an element depends on seed, stream, step
 * and place alone, so that a mask is drawn again in the backward pass and never stored. Bits are the same on every backend.
 */

import { philox4x32 } from '../../util/philox.js';
import type { Dropout, Kernels, RandomStream } from '../kernels.js';
import { f32, writeFloats } from './memory.js';

/** u32 numbers of elements first … first + n - 1. */
function randomWords({ seed, stream, step }: RandomStream, first: number, n: number): Uint32Array {
  const words = new Uint32Array(n);
  let four = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const element = first + i;
    if (i === 0 || element % 4 === 0) {
      const block = Math.floor(element / 4);
      four = philox4x32([block >>> 0, Math.floor(block / 2 ** 32), step, 0], [seed, stream]);
    }
    words[i] = four[element % 4]!;
  }
  return words;
}

/** What each of n elements is multiplied by: 0 or 1 / (1 - p). */
function dropoutFactors({ p, random, firstElement }: Dropout, n: number): Float32Array {
  const factor = Math.fround(1 / (1 - p));
  const threshold = Math.min(2 ** 16 - 1, Math.round(p * 2 ** 16));
  const firstWord = Math.floor(firstElement / 2);
  const words = randomWords(random, firstWord, Math.ceil((firstElement + n) / 2) - firstWord);
  return Float32Array.from({ length: n }, (_, i) => {
    const half = firstElement + i - 2 * firstWord;
    const number = (words[half >> 1]! >>> (16 * (half & 1))) & 0xffff;
    return number >= threshold ? factor : 0;
  });
}

export const dropout: Kernels['dropout'] = (args) => {
  const { n, accumulate } = args;
  const x = f32(args.x, n);
  const y = f32(args.y, n);
  const factors = dropoutFactors(args, n);
  for (let i = 0; i < n; i++) {
    const kept = factors[i] === 0 ? 0 : x[i]! * factors[i]!;
    y[i] = accumulate ? y[i]! + kept : kept;
  }
};

/** Box and Muller's transform (Annals of Mathematical Statistics 29, 1958). */
export const fillNormal: Kernels['fillNormal'] = ({ y, n, deviation, random }) => {
  const even = n + (n % 2);
  const words = randomWords(random, 0, even);
  const values = new Float32Array(even);
  for (let i = 0; i < even; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log((words[i]! + 0.5) / 2 ** 32));
    const angle = (2 * Math.PI * words[i + 1]!) / 2 ** 32;
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  writeFloats(y, values.subarray(0, n));
};

/** The upper 24 bits of a number make u, which float32 holds exactly. */
export const addUniformNoise: Kernels['addUniformNoise'] = (args) => {
  const { rows, dim, random } = args;
  const x = f32(args.x, rows * dim);
  const magnitude = f32(args.magnitude, rows);
  const words = randomWords(random, 0, rows * dim);
  for (let r = 0; r < rows; r++)
    for (let i = r * dim; i < (r + 1) * dim; i++) x[i]! += magnitude[r]! * ((words[i]! >>> 8) / 2 ** 23 - 1);
};
