/**
 * How the next token is chosen. A draw's random number is Philox's for (seed, prompt, position), so that an answer does not depend on
 * which others were generated beside it; the choice is the kernel `sample`'s.
 */

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

/** The 32 bits that draw a prompt's token at a position of its answer, from 0. */
export function drawOf(seed: number, prompt: number, position: number): number {
  return philox4x32([position, 0, 0, 0], [seed, prompt])[0];
}
