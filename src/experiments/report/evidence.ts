/** How sure a point's figures are, and whether two points differ: from the stored intervals, and from the answers row by row. */

import {
  alikeInterval,
  areAlike,
  bootstrap,
  comparePaired,
  metricOf,
  rangeOf,
  spread,
  type Interval,
  type PairedComparison,
} from '../../eval/index.js';
import { readPredictions } from '../store/stored.js';
import type { Prediction } from '../store/predictions.js';
import { metricOptions } from '../../tasks/index.js';
import { own } from '../../util/own.js';
import type { Measurement, Point } from './study.js';

export interface Estimate {
  /** The mean over the seeds. */
  readonly value: number;
  /** Over the test rows, 95 %. */
  readonly interval?: Interval;
  /** Over the seeds, where there are several. */
  readonly deviation?: number;
  readonly seeds: number;
}

/** What was computed for an object and a name, kept as long as the object lives: bootstraps are slow, and tables share them. */
function remembering<K extends object, V>(compute: (of: K, name: string) => V): (of: K, name: string) => V {
  const kept = new WeakMap<K, Map<string, V>>();
  return (of, name) => {
    let known = kept.get(of);
    if (!known) kept.set(of, (known = new Map<string, V>()));
    if (!known.has(name)) known.set(name, compute(of, name));
    return known.get(name)!;
  };
}

/** A point's figure; undefined where it has none of that name. */
export const estimate = remembering((point: Point, name: string): Estimate | undefined => {
  const values = point.measurements
    .map(({ figures }) => figures.metrics[name])
    .filter((v) => v !== undefined);
  const [only] = values;
  if (only === undefined) return undefined;
  if (values.length === 1) {
    const stored = point.measurements[0]!.figures.intervals[name];
    // A run of before intervals had a width wherever rows score alike.
    const rows = stored && stored.low === stored.high ? rowsOf([point], name) : undefined;
    const interval = rows ? intervalOver(rows) : stored;
    return { value: only, seeds: 1, ...(interval && { interval }) };
  }
  const { mean, deviation } = spread(values);
  const rows = rowsOf([point], name);
  return { value: mean, deviation, seeds: values.length, ...(rows && { interval: intervalOver(rows) }) };
});

/** The mean over several points, and its interval over their test rows. */
export function estimateMean(points: readonly Point[], name: string): Estimate | undefined {
  const values = points.map((point) => estimate(point, name)).filter((e) => e !== undefined);
  if (values.length === 0) return undefined;
  const value = values.reduce((sum, e) => sum + e.value, 0) / values.length;
  const rows = rowsOf(points, name);
  return { value, seeds: 1, ...(rows && { interval: intervalOver(rows) }) };
}

export interface Comparison extends PairedComparison {
  readonly rows: number;
}

/**
 * The paired test of `a` against `b` on the test rows that both answered; each row's figure is its mean over the seeds that both have
 * (over all where they share none, or one of them has the same answers for each). Undefined where rows have no figure of that name of their own, or none is shared.
 */
export function compare(a: Point, b: Point, name: string): Comparison | undefined {
  let known = comparisons.get(a);
  if (!known) {
    known = remembering((other: Point, figure: string) => comparison(a, other, figure));
    comparisons.set(a, known);
  }
  return known(b, name);
}

const comparisons = new WeakMap<Point, (b: Point, name: string) => Comparison | undefined>();

function comparison(a: Point, b: Point, name: string): Comparison | undefined {
  const seeds = (point: Point): number[] => point.measurements.flatMap(({ seed }) => seed ?? []);
  const shared = seeds(a).filter((seed) => seeds(b).includes(seed));
  const of = (point: Point): Point =>
    shared.length === 0
      ? point
      : { ...point, measurements: point.measurements.filter(({ seed }) => shared.includes(seed!)) };
  const [left, right] = [rowsOf([of(a)], name), rowsOf([of(b)], name)];
  if (!left || !right) return undefined;
  const rows = [...left.keys()].filter((row) => right.has(row)).sort((x, y) => x - y);
  if (rows.length === 0) return undefined;
  const means = (figures: ReadonlyMap<number, readonly number[]>): number[] =>
    rows.map((row) => mean(figures.get(row)!));
  return { ...comparePaired(means(left), means(right)), rows: rows.length };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Rows are drawn with all their figures, since a row's seeds and settings are not independent of one another. */
function intervalOver(figures: ReadonlyMap<number, readonly number[]>): Interval {
  const rows = [...figures].sort(([a], [b]) => a - b).map(([, values]) => values);
  const means = rows.map(mean);
  if (areAlike(means)) return alikeInterval(means, undefined, rangeOf(rows.flat()));
  const sums = Float64Array.from(rows, (values) => values.reduce((a, b) => a + b, 0));
  const counts = Int32Array.from(rows, (values) => values.length);
  return bootstrap(rows.length, (drawn) => {
    let [sum, count] = [0, 0];
    for (const row of drawn) {
      sum += sums[row]!;
      count += counts[row]!;
    }
    return [sum / count];
  })[0]!;
}

/** The figures of each test row: of one point by each seed that has it, of several points the mean of each. */
function rowsOf(points: readonly Point[], name: string): Map<number, number[]> | undefined {
  const rows = new Map<number, number[]>();
  for (const { measurements } of points) {
    const mine = new Map<number, number[]>();
    for (const measurement of measurements) {
      const figures = rowFigures(measurement, name);
      if (!figures) return undefined;
      for (const [row, figure] of figures) append(mine, row, figure);
    }
    for (const [row, figures] of mine)
      if (points.length === 1) rows.set(row, figures);
      else append(rows, row, mean(figures));
  }
  return rows;
}

function append(rows: Map<number, number[]>, row: number, figure: number): void {
  const there = rows.get(row);
  if (there) there.push(figure);
  else rows.set(row, [figure]);
}

/** What each row alone scored: a hit or its ROUGE; undefined for a figure of all rows together, such as F1. */
export const rowFigures = remembering(
  (measurement: Measurement, name: string): ReadonlyMap<number, number> | undefined =>
    scoreRows(measurement, name),
);

function scoreRows(measurement: Measurement, name: string): Map<number, number> | undefined {
  const { task, result } = measurement;
  const { ofRow, likelihood } = own(metricOf(result.metric).figures, name) ?? {};
  if (!ofRow) return undefined;
  const predictions = likelihood === true ? answersBy(measurement, 'likelihood') : answersOf(measurement);
  const options = metricOptions(task.settings);
  return new Map(predictions.map((p) => [p.row, ofRow(p, options)]));
}

/** The answers that a measurement's main figures are about. */
export function answersOf(measurement: Measurement): readonly Prediction[] {
  return answersBy(measurement, measurement.task.scoring === 'likelihood' ? 'likelihood' : 'generate');
}

const answersBy = remembering(
  ({ run, result, figures }: Measurement, scoring: string): readonly Prediction[] =>
    readPredictions(run, result, figures.method, scoring === 'likelihood' ? 'likelihood' : 'generate'),
);
