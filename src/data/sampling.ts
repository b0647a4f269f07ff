/**
 * Which rows go where: scikit-learn's `train_test_split`, with the rows and the order that it gives for the same seed, so that a sample
 * of 5 % is the one that a Python study drew. Follows sklearn.model_selection's ShuffleSplit and StratifiedShuffleSplit. And the order
 * of an epoch, which is this project's own.
 */
import { checkSeed, checkWhole } from '../util/checks.js';
import { UserError } from '../util/errors.js';
import { RandomState } from '../util/mt19937.js';
import { philox4x32 } from '../util/philox.js';

/** A class of a row, as `stratify` compares it. */
export type Label = string | number;

/** scikit-learn’s settings of train_test_split, by its meanings. */
export interface SplitOptions {
  /** A fraction in (0, 1), or a count of rows from 1. The default is the rest; 0.75 where neither side is given. */
  readonly trainSize?: number | undefined;
  /** As `trainSize`, for the other side. */
  readonly testSize?: number | undefined;
  /** A label for each row: each label's share is then the same on both sides, as nearly as counts allow. */
  readonly stratify?: readonly Label[] | undefined;
  /** A u32. */
  readonly randomState: number;
}

/** Two parts of a table’s rows, or of as many of them as were asked for. */
export interface Split {
  /** Row numbers, shuffled. */
  readonly train: number[];
  readonly test: number[];
}

/** Splits rows 0 … n − 1. Throws UserError for sizes that do not fit the rows or the classes. */
export function trainTestSplit(n: number, options: SplitOptions): Split {
  checkWhole('n', n, 0);
  checkSeed('randomState', options.randomState);
  const sizes = splitSizes(n, options);
  const random = new RandomState(options.randomState);
  if (options.stratify) return stratifiedSplit(n, sizes, options.stratify, random);
  const order = random.permutation(range(n));
  return {
    train: order.slice(sizes.test, sizes.test + sizes.train),
    test: order.slice(0, sizes.test),
  };
}

/** How much of a table is set aside; the rest is trained on. */
export interface PartSizes {
  /** Fractions of all rows in (0, 1), or counts from 1; absent: no rows. */
  readonly test?: number | undefined;
  readonly validation?: number | undefined;
}

/** Three parts of a table’s rows. */
export interface Parts {
  /** Row numbers, shuffled; each row is in one of the three. */
  readonly train: number[];
  readonly validation: number[];
  readonly test: number[];
}

/**
 * Parts rows 0 … n − 1 in three: `trainTestSplit` takes the test rows out of all, and the validation rows, with the same seed, out of the
 * rest. Throws UserError for sizes that do not fit the rows or the classes.
 */
export function splitRows(
  n: number,
  { test, validation }: PartSizes,
  { stratify, randomState }: Pick<SplitOptions, 'stratify' | 'randomState'>,
): Parts {
  const take = (rows: readonly number[], side: string, size: number | undefined): Split => {
    if (size === undefined) return { train: [...rows], test: [] };
    const testSize = count(side, size, n, Math.ceil);
    if (testSize >= rows.length)
      throw new UserError(`test and validation rows leave none of ${n} to train on`);
    const labels = stratify && rows.map((row) => stratify[row]!);
    const split = trainTestSplit(rows.length, { testSize, stratify: labels, randomState });
    return { train: split.train.map((i) => rows[i]!), test: split.test.map((i) => rows[i]!) };
  };
  const first = take(range(n), 'test', test);
  const second = take(first.train, 'validation', validation);
  return { train: second.train, validation: second.test, test: first.test };
}

interface Sizes {
  readonly train: number;
  readonly test: number;
}

function splitSizes(n: number, { trainSize, testSize }: SplitOptions): Sizes {
  const givenTest = testSize ?? (trainSize === undefined ? 0.25 : undefined);
  const wantedTest = givenTest === undefined ? undefined : count('test', givenTest, n, Math.ceil);
  const wantedTrain = trainSize === undefined ? undefined : count('train', trainSize, n, Math.floor);
  const train = wantedTrain ?? n - wantedTest!;
  const test = wantedTest ?? n - train;
  if (train + test > n) {
    throw new UserError(
      `a train size of ${train} and a test size of ${test} are more than the ${n} rows there are`,
    );
  }
  if (train === 0) {
    throw new UserError(
      `a train size of ${trainSize ?? `${n} − ${test}`} leaves no row to train on out of ${n}`,
    );
  }
  return { train, test };
}

function count(side: string, size: number, n: number, round: (x: number) => number): number {
  if (size > 0 && size < 1) return round(size * n);
  if (Number.isInteger(size) && size > 0 && size < n) return size;
  throw new UserError(
    `a ${side} size of ${size} does not fit ${n} rows: give a fraction between 0 and 1, or a count from 1 to ${n - 1}`,
  );
}

function stratifiedSplit(n: number, sizes: Sizes, labels: readonly Label[], random: RandomState): Split {
  if (labels.length !== n) throw new UserError(`${labels.length} labels do not fit ${n} rows`);
  const classes = rowsByClass(labels);
  const counts = classes.map(({ rows }) => rows.length);
  const lonely = classes.find(({ rows }) => rows.length < 2);
  if (lonely) {
    throw new UserError(
      `the label ${JSON.stringify(lonely.label)} stands in 1 row only, and a stratified split needs 2 a ` +
        'label: leave that row out, or split without stratification',
    );
  }
  for (const side of ['train', 'test'] as const) {
    if (sizes[side] < classes.length) {
      throw new UserError(
        `the ${side} side has ${sizes[side]} of ${n} rows, fewer than the ${classes.length} labels that a stratified split puts ` +
          'there: make it larger, or split without stratification',
      );
    }
  }
  const perTrain = approximateMode(counts, sizes.train, random);
  const remaining = counts.map((c, i) => c - perTrain[i]!);
  const perTest = approximateMode(remaining, sizes.test, random);
  const sides = classes.map(({ rows }, i) => {
    const order = random.permutation(rows);
    const cut = perTrain[i]!;
    return { train: order.slice(0, cut), test: order.slice(cut, cut + perTest[i]!) };
  });
  const train = random.permutation(sides.flatMap((s) => s.train));
  const test = random.permutation(sides.flatMap((s) => s.test));
  return { train, test };
}

interface ClassRows {
  readonly label: Label;
  readonly rows: number[];
}

/** Labels in numpy's sorting order: numbers by value, strings by code point. */
function rowsByClass(labels: readonly Label[]): ClassRows[] {
  const classes = new Map<Label, number[]>();
  for (const [row, label] of labels.entries()) {
    const rows = classes.get(label);
    if (rows) rows.push(row);
    else classes.set(label, [row]);
  }
  return [...classes]
    .map(([label, rows]) => ({ label, rows }))
    .sort((a, b) => compareLabels(a.label, b.label));
}

/** UTF-8 bytes sort as code points do; UTF-16 units, which JavaScript's `<` compares, do not. */
export function compareLabels(a: Label, b: Label): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

/**
 * The likeliest numbers of each class among `draws` draws without replacement: the expected numbers rounded down, and one more for the
 * largest remainders, ties at random.
 */
function approximateMode(counts: readonly number[], draws: number, random: RandomState): number[] {
  const total = counts.reduce((a, b) => a + b, 0);
  const expected = counts.map((c) => (c / total) * draws);
  const result = expected.map(Math.floor);
  const remainders = expected.map((e, i) => e - result[i]!);
  let missing = Math.trunc(draws - result.reduce((a, b) => a + b, 0));
  const largestFirst = [...new Set(remainders)].sort((a, b) => b - a);
  for (const value of largestFirst) {
    if (missing === 0) break;
    const tied = range(counts.length).filter((i) => remainders[i] === value);
    const chosen = random.permutation(tied).slice(0, missing);
    for (const i of chosen) result[i]! += 1;
    missing -= chosen.length;
  }
  return result;
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** Philox's stream for orders; the counter's last word keeps it apart from masks (0) and initial values (1). */
const ORDER = 2;

/** The numbers 0 … n − 1 in the order of epoch `epoch` (from 0): a shuffle that depends on seed and epoch alone. */
export function epochOrder(n: number, seed: number, epoch: number): number[] {
  checkWhole('n', n, 0);
  checkSeed('seed', seed);
  checkWhole('epoch', epoch, 0);
  const order = range(n);
  let words: number[] = [];
  for (let i = n - 1; i > 0; i--) {
    const draw = n - 1 - i;
    if (draw % 4 === 0) words = philox4x32([draw >>> 2, 0, epoch, ORDER], [seed, 0]);
    const j = Math.floor((words[draw % 4]! * (i + 1)) / 2 ** 32);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Of how many batches transformers' grouping makes a group at most, and into how many groups it parts few. */
const GROUP_BATCHES = 50;
const LEAST_GROUPS = 4;

/**
 * The same numbers, what is of like length together, as transformers' `group_by_length` has it: in groups of many batches, each from its
 * longest to its shortest; the longest of all is the first.
 * @param batch how many of them a step takes
 */
export function lengthGroupedOrder(
  lengths: readonly number[],
  batch: number,
  seed: number,
  epoch: number,
): number[] {
  checkWhole('batch', batch, 1);
  const shuffled = epochOrder(lengths.length, seed, epoch);
  const batches = Math.min(Math.floor(lengths.length / (batch * LEAST_GROUPS)), GROUP_BATCHES);
  const size = Math.max(1, batches) * batch;
  const order: number[] = [];
  for (let first = 0; first < shuffled.length; first += size)
    order.push(...shuffled.slice(first, first + size).sort((a, b) => lengths[b]! - lengths[a]!));
  // What takes the most memory comes first, so that a lack of it shows at once.
  const most = lengths.reduce((a, b) => Math.max(a, b), 0);
  const longest = order.findIndex((i) => lengths[i] === most);
  if (longest > 0) [order[0], order[longest]] = [order[longest]!, order[0]!];
  return order;
}
