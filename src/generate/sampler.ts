/**
 * How the next token is chosen. A draw's random number is Philox's for (seed, prompt, position), so that an answer does not depend on
 * which others were generated beside it; the choice is the kernel `sample`'s.
 */

import { checkNumber, checkPositive, checkSeed, checkWhole } from '../util/checks.js';
import { philox4x32 } from '../util/philox.js';

/** Named as transformers' GenerationConfig. */
export interface SamplingOptions {
  readonly do_sample: boolean;
  readonly temperature: number;
  /** 1: all. */
  readonly top_p: number;
  /** 0: all. */
  readonly top_k: number;
  readonly seed: number;
}

/** Greedy, as transformers' defaults but for top_k, which is 50 there. The configuration takes its defaults from here, too. */
export const SAMPLING_DEFAULTS: SamplingOptions = {
  do_sample: false,
  temperature: 1,
  top_p: 1,
  top_k: 0,
  seed: 42,
};

/** What sequences have in common whose tokens one kernel can choose: all but their draws. */
export function ruleOf({ do_sample, temperature, top_p, top_k }: SamplingOptions): string {
  return do_sample ? `${temperature} ${top_p} ${top_k}` : 'greedy';
}

/** Throws RangeError or TypeError, which names the option. */
export function checkSampling({ do_sample, temperature, top_p, top_k, seed }: SamplingOptions): void {
  if (!do_sample) return;
  checkPositive('temperature', temperature);
  checkWhole('top_k', top_k, 0);
  checkNumber('top_p', top_p, 'a number above 0, 1 at most', (p) => p > 0 && p <= 1);
  checkSeed('seed', seed);
}

/** The 32 bits that draw a prompt's token at a position of its answer, from 0. */
export function drawOf(seed: number, prompt: number, position: number): number {
  return philox4x32([position, 0, 0, 0], [seed, prompt])[0];
}
