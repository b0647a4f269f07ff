/** The checks that there are by name. What a check says of a row, and what a user's own is given. */

import { jaccard, lengthRatio, rouge, ROUGE_TYPES, wordOverlap, type RougeOptions } from './index.js';
import type { PromptKind } from '../tasks/index.js';

/** An answered test row, as a check of a user's own gets it. */
export interface CheckRow {
  /** Its number in the test data, from 0. */
  readonly row: number;
  /** Who answered: the model as it came (zero_shot, few_shot), or tuned. */
  readonly method: PromptKind;
  readonly reference: string;
  /** Null: the model gave no answer that counts. */
  readonly answer: string | null;
  /** All that it wrote, where it wrote at all. */
  readonly text?: string;
  /** The row's texts by the task's columns. */
  readonly columns: Readonly<Record<string, string>>;
}

/** A check of a user's own: a figure for a row, or whether it passes (1 and 0). */
export type CheckFunction = (row: CheckRow) => number | boolean | Promise<number | boolean>;

/** `options`: what words are to ROUGE. */
type Measure = (reference: string, answer: string, options: RougeOptions) => number;

const rougeMeasures = ROUGE_TYPES.map((type): [string, Measure] => [
  type,
  (reference, answer, options) => rouge(reference, answer, options)[type].fmeasure,
]);

export const MEASURES: ReadonlyMap<string, Measure> = new Map([
  ['length', lengthRatio],
  ['word_overlap', wordOverlap],
  ['jaccard', jaccard],
  ...rougeMeasures,
]);

/** Whether a check's name is a file of the user's. */
export function isCheckFile(name: string): boolean {
  return /\.[cm]?[jt]s$/.test(name);
}

export function isCheck(name: string): boolean {
  return MEASURES.has(name) || isCheckFile(name);
}
