/**
 * What the rows of a task have in common: rows that are trained on and tested, too, and texts that occur more than once. A figure over test
 * rows that a model was trained on says how well it remembers.
 */

import { realpathSync } from 'node:fs';
import type { Sample, Task } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import type { ResolvedTask } from '../config/index.js';
import { SPLIT_NAMES, type SplitName } from '../config/splits.js';

/** Numbers of rows. A text is all that a prompt shows of a row. */
/** By the other sets: rows with a text that a training row has. */
type InTrain = Readonly<Record<`${Exclude<SplitName, 'train'>}_in_train`, number>>;

export interface Overlap extends InTrain {
  /** Test rows that are training rows: of the same file and number, or, of two files, the same in every column of the task. */
  readonly shared: number;
  /** The same for all rows of the training data, which few-shot examples come from. */
  readonly shared_examples: number;
  /** Rows with a text that an earlier row of the same set has. */
  readonly train_repeats: number;
  readonly test_repeats: number;
}

export interface OverlapRows extends Readonly<Record<SplitName, readonly Sample[]>> {
  readonly examples: readonly Sample[];
  /** Training and test rows are numbered in the same files. */
  readonly sameFiles: boolean;
}

/** The splits but train. */
const OTHERS = SPLIT_NAMES.filter((split) => split !== 'train');

/** Something for each split that may have texts of training rows. */
export function inTrain<T>(make: (split: (typeof OTHERS)[number]) => T): Record<keyof InTrain, T> {
  const entries = OTHERS.map((split) => [`${split}_in_train`, make(split)]);
  return Object.fromEntries(entries) as Record<keyof InTrain, T>;
}

export function overlapOf(task: Task, { examples, sameFiles: oneFile, ...sets }: OverlapRows): Overlap {
  const textOf = (sample: Sample): string => task.wording.shown(sample.values);
  const { train, test } = sets;
  const [trainTexts, testTexts] = [train.map(textOf), test.map(textOf)];
  const known = new Set(trainTexts);
  const rowOf = (sample: Sample): unknown =>
    oneFile ? sample.row : JSON.stringify([textOf(sample), sample.answer]);
  const testRows = test.map(rowOf);
  const sharedWith = (samples: readonly Sample[]): number => {
    const rows = new Set(samples.map(rowOf));
    return testRows.filter((row) => rows.has(row)).length;
  };
  const shared = sharedWith(train);
  return {
    shared,
    shared_examples: examples === train ? shared : sharedWith(examples),
    ...inTrain((split) => sets[split].filter((sample) => known.has(textOf(sample))).length),
    train_repeats: train.length - known.size,
    test_repeats: test.length - new Set(testTexts).size,
  };
}

export function sameFiles(a: readonly string[], b: readonly string[]): boolean {
  return (
    a.length > 0 && a.length === b.length && a.every((path, i) => realpathSync(path) === realpathSync(b[i]!))
  );
}

/** Two files may have some rows in common by chance; those that have most of them are one file under two names. */
const MOST = 0.5;

/** Throws UserError for a test set of training rows, unless the configuration allows it, or nothing is learnt from the training rows. */
export function refuseOverlap(
  { name, tune, baselines, allow_overlap }: ResolvedTask,
  {
    overlap,
    test,
    sameFiles: oneFile,
  }: { readonly overlap: Overlap; readonly test: readonly Sample[]; readonly sameFiles: boolean },
): void {
  const shared = baselines.includes('few_shot') ? overlap.shared_examples : tune ? overlap.shared : 0;
  if (allow_overlap || shared === 0 || (!oneFile && shared <= MOST * test.length)) return;
  throw new UserError(
    `task '${name}': ${shared} of ${test.length} test rows are training rows, too, so that its figures would say how well they are ` +
      `remembered; ${oneFile ? 'write split: {test: 0.2} in place of test, which parts the rows of train' : 'take other test rows'}, or ` +
      'allow_overlap: true',
  );
}

/** A line for each thing that a person should know of a task's rows. */
export function overlapNotes(
  { shared, test_in_train, train_repeats, test_repeats, ...counts }: Overlap,
  { test_rows, train_rows }: { readonly test_rows: number; readonly train_rows: number },
): string[] {
  const notes: string[] = [];
  const rows = (n: number): string => `${n} row${n === 1 ? '' : 's'}`;
  if (shared > 0) notes.push(`${shared} of ${test_rows} test rows are training rows`);
  if (test_in_train > shared)
    notes.push(`${test_in_train} of ${test_rows} test rows have a text that a training row has`);
  for (const split of OTHERS) {
    const known = split === 'test' ? 0 : counts[`${split}_in_train`];
    if (known > 0) notes.push(`${rows(known)} of the ${split} set have a text that a training row has`);
  }
  if (train_repeats > 0) notes.push(`${train_repeats} of ${train_rows} training rows repeat another's text`);
  if (test_repeats > 0) notes.push(`${test_repeats} of ${test_rows} test rows repeat another's text`);
  return notes;
}
