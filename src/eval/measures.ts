/** The measures that checks of answers know by name: all of one is in its entry of the table, and one is added there alone. */

import type { MetricOptions } from './metrics.js';
import { jaccard, lengthRatio, wordOverlap } from './overlap.js';
import { rouge, ROUGE_TYPES } from './rouge.js';

interface Measure {
  /** What it is, for people; measures that share their words stand together in lists. */
  readonly about: string;
  readonly of: (reference: string, answer: string, options: MetricOptions) => number;
  /** It may be any number of times 1, and rows that are alike tell nothing of how far. */
  readonly unbounded?: boolean;
}

const F_MEASURES = Object.fromEntries(
  ROUGE_TYPES.map((type): [string, Measure] => [
    type,
    {
      about: 'F-measures',
      of: (reference, answer, { rouge_tokenizer: tokenizer }) =>
        rouge(reference, answer, { tokenizer })[type].fmeasure,
    },
  ]),
);

export const MEASURES: Readonly<Record<string, Measure>> = {
  length: { about: 'words of the answer for each of the reference', of: lengthRatio, unbounded: true },
  word_overlap: { about: 'share of the reference’s words that the answer has', of: wordOverlap },
  jaccard: { about: 'words of both over words of either', of: jaccard },
  ...F_MEASURES,
};
