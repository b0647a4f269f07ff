/**
 * How sure a figure over test rows is: bootstrap intervals, and a test for two methods on the same rows. All draws are by Philox from the
 * seed, so that a table says the same each time; the interval of a share needs none. Follows Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13
 * and 15; scipy.stats.bootstrap (method 'percentile') and scipy.stats.permutation_test (permutation_type 'samples') compute the same.
 */

import { checkNumber, checkSeed, checkWhole } from '../util/checks.js';
import { philoxFill } from '../util/philox.js';

/** The bounds of an interval, both included. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** How a bootstrap interval is drawn. */
export interface BootstrapOptions {
  /** Samples to draw; 10,000 by default: the bounds then move by about 3 % of a standard error with the seed. */
  readonly resamples?: number;
  /** What part of the samples the interval holds, 0.95 by default. */
  readonly confidence?: number;
  /** A u32, 0 by default. */
  readonly seed?: number;
}

/** Keys of the streams of draws. */
const RESAMPLE = 11;
const SIGNS = 12;

/**
 * The percentile intervals of figures over n rows. `statistics` gets the row numbers of a sample, n of them with repetition, in an array
 * that is overwritten for the next sample, and says the figures. Throws RangeError for no rows.
 */
export function bootstrap(
  n: number,
  statistics: (rows: Int32Array) => readonly number[],
  { resamples = 10_000, confidence = 0.95, seed = 0 }: BootstrapOptions = {},
): Interval[] {
  if (n === 0) throw new RangeError('an interval over no rows');
  checkWhole('n', n, 1);
  checkDraws({ resamples, confidence, seed });
  const rows = new Int32Array(n);
  const words = new Uint32Array(n);
  const figures: Float64Array[] = [];
  for (let sample = 0; sample < resamples; sample++) {
    philoxFill(words, [0, sample, 0, 0], 4, [seed, RESAMPLE]);
    for (let i = 0; i < n; i++) rows[i] = Math.floor((words[i]! / 2 ** 32) * n);
    for (const [f, figure] of statistics(rows).entries())
      (figures[f] ??= new Float64Array(resamples))[sample] = figure;
  }
  return figures.map((of) => {
    of.sort();
    return { low: quantile(of, (1 - confidence) / 2), high: quantile(of, (1 + confidence) / 2) };
  });
}

/** Throws RangeError or TypeError, which names the option. */
function checkDraws({ resamples = 1, confidence = 0.5, seed = 0 }: BootstrapOptions): void {
  checkWhole('resamples', resamples, 1, 1e7);
  checkNumber('confidence', confidence, 'a number between 0 and 1', (share) => share > 0 && share < 1);
  checkSeed('seed', seed);
}

/**
 * The bootstrap intervals of the means of figures that each row has for itself, by name: hits for an accuracy, a row's ROUGE. Figures that
 * are the same in every row have that of `alikeInterval`.
 */
export function meanIntervals<Name extends string>(
  values: Readonly<Record<Name, readonly number[]>>,
  options?: BootstrapOptions,
): Record<Name, Interval> {
  const names = Object.keys(values) as Name[];
  const columns = names.map((name) => Float64Array.from(values[name]));
  const intervals = bootstrap(
    columns[0]?.length ?? 0,
    (rows) => columns.map((c) => meanOf(c, rows)),
    options,
  );
  const intervalOf = (column: Float64Array, i: number): Interval =>
    areAlike(column) ? alikeInterval(column, options?.confidence) : intervals[i]!;
  return Object.fromEntries(names.map((name, i) => [name, intervalOf(columns[i]!, i)])) as Record<
    Name,
    Interval
  >;
}

/**
 * The interval of a share of n rows, such as an accuracy (Wilson, Journal of the American Statistical Association 22, 1927), of 95 % by
 * default. It has a width at 0 and 1, too, where each bootstrap sample is like the other. `n` need not be whole, for rows that weigh more
 * than others. Throws RangeError for no rows.
 */
export function shareInterval(hits: number, n: number, confidence = 0.95): Interval {
  if (!(n > 0)) throw new RangeError('an interval over no rows');
  const z = normalQuantile((1 + confidence) / 2);
  const share = hits / n;
  const scale = 1 + z ** 2 / n;
  const middle = (share + z ** 2 / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  return { low: hits === 0 ? 0 : middle - half, high: hits === n ? 1 : middle + half };
}

/** Whether rows' figures are the same but for rounding, so that each bootstrap sample is like the other. */
export function areAlike(figures: ArrayLike<number>): boolean {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < figures.length; i++) {
    low = Math.min(low, figures[i]!);
    high = Math.max(high, figures[i]!);
  }
  return high - low <= ROUNDING * Math.max(Math.abs(low), Math.abs(high));
}

/**
 * The interval of the mean of figures that are the same in all of n rows. A bootstrap would claim to know it for certain; what such rows
 * show is that few others differ: at most the share that Wilson's interval allows where none of n was seen. Those few may lie anywhere in
 * `range`. Of figures that are 0 or 1 this is Wilson's interval. The default range is that of `rangeOf`.
 */
export function alikeInterval(
  figures: ArrayLike<number>,
  confidence?: number,
  [least, most]: readonly [number, number] = rangeOf(figures),
): Interval {
  const others = shareInterval(0, figures.length, confidence).high;
  const value = figures[0]!;
  return { low: value - others * (value - least), high: value + others * (most - value) };
}

/** Where figures lie: 0 to 1 where all that are seen do, else from 0 to twice as far as those that were seen. */
export function rangeOf(figures: ArrayLike<number>): [least: number, most: number] {
  let [low, high] = [0, 0];
  for (let i = 0; i < figures.length; i++) {
    low = Math.min(low, figures[i]!);
    high = Math.max(high, figures[i]!);
  }
  return low === 0 && high <= 1 ? [0, 1] : [2 * low, 2 * high];
}

/** The x below which the normal distribution has `share`, from 0.5 to less than 1: Newton's method over the series of Marsaglia (2004). */
function normalQuantile(share: number): number {
  let x = 0;
  for (let round = 0; round < 100; round++) {
    const density = Math.exp(-(x ** 2) / 2) / Math.sqrt(2 * Math.PI);
    let [sum, term] = [x, x];
    for (let odd = 3; Math.abs(term) > 1e-17 * Math.abs(sum); odd += 2) sum += term *= x ** 2 / odd;
    const step = (share - 0.5) / density - sum;
    x += step;
    if (Math.abs(step) < 1e-15) break;
  }
  return x;
}

function meanOf(column: Float64Array, rows: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < rows.length; i++) sum += column[rows[i]!]!;
  return sum / rows.length;
}

/** Two methods compared over the same rows. */
export interface PairedComparison {
  /** Mean of a − b. */
  readonly difference: number;
  /** Bootstrap interval of the difference, rows drawn in pairs; of rows that all differ alike, or not at all, as `alikeInterval` has it. */
  readonly interval: Interval;
  /** Rows where a is above b, and below. */
  readonly better: number;
  readonly worse: number;
  /** Two-sided p of the hypothesis that a and b could be exchanged in every row. */
  readonly p: number;
  /** Whether p counts all exchanges; else it is estimated from as many drawn ones as there are resamples. */
  readonly exact: boolean;
}

/** Up to so many rows that differ, all exchanges are counted. */
const MOST_COUNTED = 16;

/**
 * Two methods' figures on the same rows: the permutation test that exchanges them row by row. Where each row's difference is one of
 * −d, 0 and d, as for hits, that is McNemar's exact test. Throws RangeError for lists of different or no length.
 */
export function comparePaired(
  a: readonly number[],
  b: readonly number[],
  options: BootstrapOptions = {},
): PairedComparison {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} rows to compare`);
  checkDraws(options);
  const differences = a.map((x, i) => x - b[i]!);
  const some = differences.filter((d) => d !== 0);
  const better = some.filter((d) => d > 0).length;
  const worse = some.length - better;
  const sizes = some.map(Math.abs);
  const alike = sizes.every((size) => size === sizes[0]);
  const exact = alike || some.length <= MOST_COUNTED;
  const p = alike ? mcnemar(better, worse) : exact ? countSigns(some) : drawSigns(some, options);
  const difference = differences.reduce((x, y) => x + y, 0) / differences.length;
  const [least, most] = rangeOf([...a, ...b]);
  const width = most - least;
  return {
    difference,
    interval: areAlike(differences)
      ? alikeInterval(differences, options.confidence, [-width, width])
      : meanIntervals({ differences }, options).differences,
    better,
    worse,
    p,
    exact,
  };
}

/** The two-sided binomial test of `better` against `worse` at even odds. */
function mcnemar(better: number, worse: number): number {
  const n = better + worse;
  const least = Math.min(better, worse);
  let sum = 0;
  let log = -n * Math.LN2; // of C(n, i) / 2^n, whose parts overflow
  for (let i = 0; i <= least; i++) {
    sum += Math.exp(log);
    log += Math.log((n - i) / (i + 1));
  }
  return Math.min(1, 2 * sum);
}

/** Sums that differ by rounding alone count as equal. */
const ROUNDING = 1e-12;

/** The share of all sign patterns whose sum is as far from zero as the one seen. */
function countSigns(differences: readonly number[]): number {
  const seen = Math.abs(differences.reduce((x, y) => x + y, 0)) * (1 - ROUNDING);
  const patterns = 2 ** differences.length;
  let far = 0;
  for (let pattern = 0; pattern < patterns; pattern++) {
    let sum = 0;
    for (const [i, d] of differences.entries()) sum += (pattern >> i) & 1 ? -d : d;
    if (Math.abs(sum) >= seen) far++;
  }
  return far / patterns;
}

/** The same, estimated: the pattern seen counts as one of those drawn (Phipson and Smyth 2010), so that p is never 0. */
function drawSigns(
  differences: readonly number[],
  { resamples = 10_000, seed = 0 }: BootstrapOptions,
): number {
  const seen = Math.abs(differences.reduce((x, y) => x + y, 0)) * (1 - ROUNDING);
  const n = differences.length;
  // Each with its opposite behind it: to choose by an index is faster than by a branch that nobody can foresee.
  const signed = Float64Array.from({ length: 2 * n }, (_, i) => differences[i >> 1]! * (i & 1 ? -1 : 1));
  const bits = new Uint32Array(Math.ceil(n / 32));
  let far = 1;
  for (let sample = 0; sample < resamples; sample++) {
    philoxFill(bits, [0, sample, 0, 0], 1, [seed, SIGNS]);
    let sum = 0;
    for (let i = 0; i < n; i++) sum += signed[2 * i + ((bits[i >> 5]! >>> (i & 31)) & 1)]!;
    if (Math.abs(sum) >= seen) far++;
  }
  return far / (resamples + 1);
}

/**
 * p values of several comparisons as Holm corrects them (Scandinavian Journal of Statistics 6, 1979): with all that are at most alpha
 * called significant, one call in the whole family is false with a probability of at most alpha.
 */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, i) => i).sort((a, b) => ps[a]! - ps[b]!);
  const corrected = new Array<number>(ps.length);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (ps.length - rank) * ps[i]!));
    corrected[i] = largest;
  }
  return corrected;
}

/** Mean and spread of repeated runs. */
export interface Spread {
  readonly mean: number;
  /** With n − 1 in the denominator; NaN for a single value. */
  readonly deviation: number;
}

/** Mean and standard deviation of one figure over several seeds. */
export function spread(values: readonly number[]): Spread {
  const mean = values.reduce((x, y) => x + y, 0) / values.length;
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/** With linear interpolation, as numpy.percentile has it by default. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (place - below);
}
