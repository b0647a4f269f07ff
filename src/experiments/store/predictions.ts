/** An answer to a test row, as a run keeps it. */

import type { Scoring } from '../config/index.js';

/** A way to answer: to write it, or to take the likeliest label. */
export type AnsweredBy = Exclude<Scoring, 'both'>;

/** A line of a predictions file: one test row and its answer. */
export interface Prediction {
  /** The row's number in the test file, from 0. */
  readonly row: number;
  readonly reference: string;
  /** Null: the model gave no answer that counts. */
  readonly answer: string | null;
  /** Generated: what it wrote, in how many tokens, and what ended it. */
  readonly text?: string;
  readonly tokens?: number;
  readonly finish?: 'stop' | 'length';
  /** Scored: the natural log-likelihood of each label, in the labels' order, and that for each of the label's characters. */
  readonly log_likelihoods?: readonly number[];
  readonly normalized_log_likelihoods?: readonly number[];
}
