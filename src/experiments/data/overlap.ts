/**
 * What the rows of a task have in common: rows that are trained on and tested, too, and texts that occur more than once. A figure over test
 * rows that a model was trained on says how well it remembers.
 */

import { realpathSync } from 'node:fs';
import { equalTexts, repeatsAndNear, repeatsOf, sharedGrams } from '../../data/duplicates/index.js';
import { textOf, type Sample, type Task } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import type { ResolvedTask } from '../config/index.js';
import { bySplit, SPLIT_NAMES, SPLITS, type SplitName } from '../config/splits.js';
import { firstHits, hitsOf, shownHits, textsOf, type Hit, type NamedHit } from './hits.js';
import { leftOutNotes, type LeftOutRows } from './left-out.js';

type Other = Exclude<SplitName, 'train'>;

/** By the other sets: rows with a text that a training row has; further ones with a run of words that one has. */
type InTrain = Readonly<Record<`${Other}_in_train` | `${Other}_ngrams_in_train`, number>>;

/** Numbers of rows. A text is all that a prompt shows of a row. */
interface Counts extends InTrain {
  /** Test rows that are training rows: of the same file and number, or, of two files, the same in every column of the task. */
  readonly shared: number;
  /** The same for all rows of the training data, which few-shot examples come from. */
  readonly shared_examples: number;
  /** Rows with a text that an earlier row of the same set has. */
  readonly train_repeats: number;
  readonly test_repeats: number;
  /** Further training rows whose text is nearly that of an earlier one. */
  readonly train_near_repeats: number;
}

export interface Overlap extends Counts {
  /** The first rows of the numbers. */
  readonly rows?: Readonly<Partial<Record<keyof Counts, readonly NamedHit[]>>>;
  /** Training rows that the configuration leaves out; what is counted is what is left. */
  readonly left_out?: LeftOutRows;
}

export interface OverlapRows extends Readonly<Record<SplitName, readonly Sample[]>> {
  readonly examples: readonly Sample[];
  /** Training and test rows are numbered in the same files. */
  readonly sameFiles: boolean;
}

/** The splits but train. */
const OTHERS = SPLIT_NAMES.filter((split) => split !== 'train');

/** Something for each count of the other splits. */
export function inTrain<T>(make: (key: keyof InTrain) => T): Record<keyof InTrain, T> {
  const keys = OTHERS.flatMap((split) => [`${split}_in_train`, `${split}_ngrams_in_train`] as const);
  return Object.fromEntries(keys.map((key) => [key, make(key)])) as Record<keyof InTrain, T>;
}

/** In pieces, for `inTurns`. */
export function* overlapOf(
  task: Task,
  { examples, sameFiles: oneFile, ...sets }: OverlapRows,
): Generator<void, Overlap, void> {
  const { train, test } = sets;
  const texts = bySplit((split) => textsOf(task, sets[split]));
  const { equal: repeats, near } = yield* repeatsAndNear(texts.train);
  const shared = yield* sharedRows(task, test, train, oneFile);
  const found: Record<keyof Counts, readonly Hit[]> = {
    shared,
    shared_examples: examples === train ? shared : yield* sharedRows(task, test, examples, oneFile),
    ...inTrain(() => []),
    train_repeats: hitsOf(train, repeats, train),
    test_repeats: hitsOf(test, yield* repeatsOf(texts.test), test),
    train_near_repeats: hitsOf(train, near, train),
  };
  for (const split of OTHERS) {
    const others = sets[split];
    const equal = yield* equalTexts(texts[split], texts.train);
    const grams = (yield* sharedGrams(texts.train, texts[split])).test;
    found[`${split}_in_train`] = hitsOf(others, equal, train);
    found[`${split}_ngrams_in_train`] = hitsOf(
      others,
      grams.map((of, i) => (equal[i]! < 0 ? of : -1)),
      train,
    );
  }
  const entries = Object.entries(found) as [keyof Counts, readonly Hit[]][];
  const some = entries.filter(([key, hits]) => hits.length > 0 && key !== 'shared_examples');
  return {
    ...(Object.fromEntries(entries.map(([key, hits]) => [key, hits.length])) as Record<keyof Counts, number>),
    ...(some.length > 0 && { rows: Object.fromEntries(some.map(([key, hits]) => [key, firstHits(hits)])) }),
  };
}

/** Test rows that are rows of the training: of one file by their number, of two where every column is the same. */
function* sharedRows(
  task: Task,
  test: readonly Sample[],
  train: readonly Sample[],
  oneFile: boolean,
): Generator<void, Hit[], void> {
  const rowOf = (sample: Sample): unknown =>
    oneFile ? sample.row : JSON.stringify([textOf(task, sample), sample.answer]);
  const wanted = new Map<unknown, Sample | undefined>(test.map((sample) => [rowOf(sample), undefined]));
  if (wanted.size > 0)
    for (const [i, sample] of train.entries()) {
      if (i % 64 === 63) yield;
      const row = rowOf(sample);
      if (wanted.has(row)) wanted.set(row, wanted.get(row) ?? sample);
    }
  return test.flatMap((row) => {
    const of = wanted.get(rowOf(row));
    return of ? [{ row, of }] : [];
  });
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
  { rows: named = {}, left_out = {}, ...counts }: Overlap,
  { test_rows, train_rows }: { readonly test_rows: number; readonly train_rows: number },
): string[] {
  const notes: string[] = [];
  const rows = (n: number): string => `${n} row${n === 1 ? '' : 's'}`;
  const add = (key: keyof Counts, text: string, of: string): unknown =>
    notes.push(text + shownHits(named[key], of));
  const { shared, train_repeats, train_near_repeats, test_repeats } = counts;
  const training = 'training row';
  if (shared > 0) add('shared', `${shared} of ${test_rows} test rows are training rows`, training);
  for (const split of OTHERS) {
    const [equal, grams] = [`${split}_in_train`, `${split}_ngrams_in_train`] as const;
    const [known, alike] = [counts[equal], counts[grams]];
    const which = split === 'test' ? `of ${test_rows} test rows` : undefined;
    if (known > (split === 'test' ? shared : 0))
      add(
        equal,
        `${which ? `${known} ${which}` : `${rows(known)} of the ${split} set`} have a text that a training row has`,
        training,
      );
    if (alike > 0)
      add(
        grams,
        `${alike} ${known > 0 ? 'more ' : ''}${which ?? SPLITS[split].rows} have 13 words in a row that a training row has`,
        training,
      );
  }
  if (train_repeats > 0)
    add('train_repeats', `${train_repeats} of ${train_rows} training rows repeat another's text`, 'row');
  if (train_near_repeats > 0)
    add(
      'train_near_repeats',
      `${train_near_repeats} ${train_repeats > 0 ? 'more ' : ''}of ${train_rows} training rows have nearly another's text`,
      'row',
    );
  if (test_repeats > 0)
    add('test_repeats', `${test_repeats} of ${test_rows} test rows repeat another's text`, 'row');
  return [...notes, ...leftOutNotes(left_out)];
}
