/**
 * Dropout and NEFTune's noise (arXiv:2310.05914) from counter-based streams: the number of an element depends on seed, stream, step
 * and place alone, so that a mask is drawn again in the backward pass and never stored. Bits are the same on every backend.
 */

import { philox4x32 } from '../../util/philox.js';
import type { Kernels, RandomStream } from '../contract.js';
import { f32 } from './memory.js';

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

export const dropout: Kernels['dropout'] = (args) => {
  const { n, p, random, firstElement, accumulate } = args;
  const x = f32(args.x, n);
  const y = f32(args.y, n);
  const words = randomWords(random, firstElement, n);
  const factor = Math.fround(1 / (1 - p));
  for (let i = 0; i < n; i++) {
    const kept = words[i]! >= p * 2 ** 32 ? x[i]! * factor : 0;
    y[i] = accumulate ? y[i]! + kept : kept;
  }
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
