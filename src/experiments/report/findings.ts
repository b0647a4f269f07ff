/**
 * From runs to what tables are about: data sets, each with the points that were measured on it. Runs with the same settings and different
 * seeds are one point; what varies is found by comparing manifests, so that studies can be extended and joined.
 */

import { canonicalJson } from '../config/hash.js';
import { METHOD_NAMES, methodName, type Method } from '../../tasks/index.js';
import { dependsOnSeed, isDrawn, type ResolvedTask } from '../config/index.js';
import { isFourBit } from '../store/base-weights.js';
import type { MethodResult, TaskResult } from '../store/results.js';
import type { StoredRun } from '../store/stored.js';
import type { DamagedRun } from './gather.js';
import {
  compareValues,
  factorsOf,
  MODEL,
  MODULES,
  NEFTUNE,
  onAllModules,
  sourceName,
  TRAIN_ROWS,
  valueInText,
  valuesOf,
  varying,
  withNeftune,
  type Factors,
} from './factors.js';

/** One run's figures for a point. */
export interface Measurement {
  readonly run: StoredRun;
  /** Absent: the answers are the same for each. */
  readonly seed?: number;
  readonly task: ResolvedTask;
  readonly result: TaskResult;
  readonly figures: MethodResult;
}

/** One way of answering, with all its settings but the seed. */
export interface Setting {
  readonly method: Method;
  readonly factors: Factors;
  /** What was tuned: QLoRA, LoRA, fine-tuned; or zero-shot, few-shot. */
  readonly way: string;
}

/** A setting and what it came to on a data set. */
export interface Point extends Setting {
  /** By seed; one a seed. */
  readonly measurements: readonly Measurement[];
}

/** Test rows with what was measured on them. */
export interface DataSet {
  readonly title: string;
  /** A word for links and files. */
  readonly slug: string;
  readonly task: string;
  readonly kind: TaskResult['kind'];
  readonly metric: TaskResult['metric'];
  readonly testRows: number;
  /** The file or hub name that the test rows came from. */
  readonly source: string;
  readonly points: readonly Point[];
}

/** A training that was not tested: its task has no test rows. */
export interface Trained extends Setting {
  readonly run: StoredRun;
  readonly seed: number;
  readonly result: TaskResult;
}

export interface Findings {
  /** Each run once, by id. */
  readonly runs: readonly StoredRun[];
  /** Those of which nothing can be used. */
  readonly damaged: readonly DamagedRun[];
  readonly dataSets: readonly DataSet[];
  /** By task, model and settings. */
  readonly trained: readonly Trained[];
  /** Trainings that a search drew, in the same order. */
  readonly searched: readonly Trained[];
  /** Figures that were measured twice, with the same settings and seed: one of them is shown. */
  readonly repeated: number;
}

/** Brings runs in order; the same runs give the same findings, in whatever order they come. */
export function findingsOf(stored: readonly StoredRun[], broken: readonly DamagedRun[] = []): Findings {
  const runs = distinctRuns(stored);
  const sets = new Map<string, { measurements: Measurement[]; source: string; told: string }>();
  for (const run of runs) {
    for (const result of run.results) {
      const task = taskOf(run, result);
      if (!task?.test) continue;
      const content = run.manifest.fingerprints.data[`${task.name}.test`] ?? '';
      const { columns, count, fraction, stratify, part } = task.test;
      const seed = isDrawn(task.test) ? (task.test.seed ?? run.manifest.config.seed) : undefined;
      const key = canonicalJson([
        task.name,
        result.kind,
        result.metric,
        content,
        columns,
        count,
        fraction,
        stratify,
        seed,
        part,
      ]);
      const source = sourceName(task.test);
      const share = fraction ?? (part && part.test! < 1 ? part.test! : 1);
      const size = count ?? (part && part.test! >= 1 ? part.test! : share === 1 ? '' : `${100 * share} %`);
      const told = `${source}${size === '' ? '' : `, ${size} of its rows`}; ${content.slice(0, 6)}`;
      if (!sets.has(key)) sets.set(key, { measurements: [], source, told });
      for (const figures of result.methods) {
        const drawn = dependsOnSeed(task, figures.method) && { seed: run.manifest.config.seed };
        sets.get(key)!.measurements.push({ run, ...drawn, task, result, figures });
      }
    }
  }
  let repeated = 0;
  const found = [...sets]
    .filter(([, { measurements }]) => measurements.length > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const names = found.map(([, { measurements }]) => measurements[0]!.result.task);
  const dataSets = found.map(([, { measurements, source, told }], i): DataSet => {
    const { task, kind, metric, test_rows: testRows } = measurements[0]!.result;
    const { points, joined } = pointsOf(measurements);
    repeated += joined;
    const alone = names.filter((name) => name === task).length === 1;
    const number = names.slice(0, i).filter((name) => name === task).length + 1;
    return {
      title: alone ? task : `${task} (${told})`,
      slug: `${task.replace(/[^\w-]+/g, '-')}${alone ? '' : `-${number}`}`,
      task,
      kind,
      metric,
      testRows,
      source,
      points,
    };
  });
  const damaged = [...broken].sort((a, b) => compareValues(a.id, b.id) || compareValues(a.folder, b.folder));
  const trainings = trainingsOf(runs);
  const trained = trainings.filter(({ run, result }) => !taskOf(run, result)!.test);
  const searched = trainings.filter(({ run }) => run.manifest.config.search);
  return { runs, damaged, dataSets, trained, searched, repeated };
}

function taskOf(run: StoredRun, result: TaskResult): ResolvedTask | undefined {
  return run.manifest.config.tasks.find(({ name }) => name === result.task);
}

function trainingsOf(runs: readonly StoredRun[]): Trained[] {
  return runs
    .flatMap((run) =>
      run.results.flatMap((result): Trained[] => {
        const task = taskOf(run, result);
        if (!task || !result.training) return [];
        const factors = factorsOf(run.manifest, task, result, 'tuned');
        const { seed } = run.manifest.config;
        return [{ method: 'tuned', factors, way: wayOf('tuned', factors), run, seed, result }];
      }),
    )
    .sort(
      (a, b) =>
        compareValues(a.result.task, b.result.task) || compareSettings(a, b) || compareValues(a.seed, b.seed),
    );
}

/** One folder of each id: a finished one before others, then by what it holds, so that the folders' order plays no part. */
function distinctRuns(stored: readonly StoredRun[]): StoredRun[] {
  const rank = (run: StoredRun): string =>
    `${run.state === 'finished' ? 0 : 1} ${canonicalJson(run.results.map((r) => r.methods.map((m) => m.metrics)))}`;
  const first = new Map<string, StoredRun>();
  for (const run of stored) {
    const other = first.get(run.id);
    if (!other || rank(run) < rank(other)) first.set(run.id, run);
  }
  return [...first.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function pointsOf(measurements: readonly Measurement[]): { points: Point[]; joined: number } {
  const groups = new Map<
    string,
    { method: Method; factors: Factors; bySeed: Map<number | undefined, Measurement> }
  >();
  let joined = 0;
  for (const measurement of measurements) {
    const { run, task, result, figures, seed } = measurement;
    const { method } = figures;
    const factors = factorsOf(run.manifest, task, result, method);
    const key = canonicalJson([method, factors]);
    if (!groups.has(key)) groups.set(key, { method, factors, bySeed: new Map() });
    const { bySeed } = groups.get(key)!;
    const other = bySeed.get(seed);
    if (other) joined++;
    if (!other || richer(measurement, other)) bySeed.set(seed, measurement);
  }
  const points = [...groups.values()].map(({ method, factors, bySeed }): Point => ({
    method,
    factors,
    way: wayOf(method, factors),
    measurements: [...bySeed.values()].sort((a, b) => compareValues(a.seed, b.seed)),
  }));
  return { points: points.sort(compareSettings), joined };
}

/** Runs come by id: the first stays, unless a later one has more figures. */
function richer(a: Measurement, b: Measurement): boolean {
  return Object.keys(a.figures.metrics).length > Object.keys(b.figures.metrics).length;
}

function wayOf(method: Method, factors: Factors): string {
  if (method !== 'tuned') return methodName(method);
  if (factors['lora.r'] === 'none') return 'fine-tuned';
  return isFourBit(String(factors['weights'])) ? 'QLoRA' : 'LoRA';
}

/** Named by other words than the rest: see `variantOf`. */
const APART = new Set([MODEL, TRAIN_ROWS, NEFTUNE, MODULES]);

/**
 * What sets points apart from those of the same method among them: 'NEFTune, all modules, rank 8', or '' where nothing does. The model
 * and the number of training rows are not in it: they have columns of their own.
 */
export function variantsOf<S extends Setting>(points: readonly S[]): Map<S, string> {
  return new Map(
    points.map((point) => {
      const alike = points.filter(({ method }) => method === point.method);
      return [point, variantOf(point, alike)];
    }),
  );
}

/** Ways and variants: 'QLoRA, NEFTune, all modules'. */
export function namesOf<S extends Setting>(points: readonly S[]): Map<S, string> {
  return new Map(
    [...variantsOf(points)].map(([point, variant]) => [
      point,
      variant === '' ? point.way : `${point.way}, ${variant}`,
    ]),
  );
}

function variantOf({ factors }: Setting, alike: readonly Setting[]): string {
  const parts: string[] = [];
  const alphas = valuesOf(NEFTUNE, alike).filter((alpha) => Number(alpha ?? 0) > 0);
  if (valuesOf(NEFTUNE, alike).length > 1 && withNeftune(factors))
    parts.push(alphas.length > 1 ? `NEFTune ${factors[NEFTUNE]}` : 'NEFTune');
  const modules = valuesOf(MODULES, alike);
  if (modules.length > 1 && onAllModules(factors)) {
    const wide = modules.filter((list) => onAllModules({ [MODULES]: list ?? '' }));
    parts.push(wide.length > 1 ? `on ${factors[MODULES]}` : 'all modules');
  }
  const contents = new Set(alike.map(({ factors: f }) => `${f[MODEL]} ${f['model.content']}`));
  const oneContentEach = contents.size === valuesOf(MODEL, alike).length;
  const waysDiffer = new Set(alike.map(({ way }) => way)).size > 1;
  for (const factor of inStep(
    varying(alike).filter((name) => !APART.has(name)),
    alike,
  )) {
    if (factor === 'model.content' && oneContentEach) continue;
    if (waysDiffer && (factor === 'weights' || (factors['lora.r'] === 'none' && factor.startsWith('lora.'))))
      continue;
    parts.push(valueInText(factor, factors[factor]));
  }
  return parts.join(', ');
}

/** As people name them: the first axes first, then by name. */
export function inOrder(factors: readonly string[]): string[] {
  return [...factors].sort((a, b) => order(a) - order(b) || compareValues(a, b));
}

/** Of factors that run in step (one says the other), the first alone, as in a rank with its alpha. */
export function inStep(factors: readonly string[], of: readonly { readonly factors: Factors }[]): string[] {
  const patterns = new Set<string>();
  return inOrder(factors).filter((factor) => {
    const values = valuesOf(factor, of);
    const seen = new Map<number, number>();
    const pattern = of
      .map(({ factors: f }) => {
        const value = values.indexOf(f[factor]);
        if (!seen.has(value)) seen.set(value, seen.size);
        return seen.get(value)!;
      })
      .join();
    if (patterns.has(pattern)) return false;
    patterns.add(pattern);
    return true;
  });
}

const FIRST = [
  'lora.r',
  'lora.lora_alpha',
  'lora.lora_dropout',
  'training.num_train_epochs',
  'training.learning_rate',
];

/** The axes that people name first. */
export function order(factor: string): number {
  const place = FIRST.indexOf(factor);
  return place === -1 ? FIRST.length : place;
}

/** By method, model, plain before NEFTune before all modules before both, then the other settings. */
function compareSettings(a: Setting, b: Setting): number {
  const quarter = ({ factors }: Setting): number =>
    (withNeftune(factors) ? 1 : 0) + (onAllModules(factors) ? 2 : 0);
  const byMethod = METHOD_NAMES.indexOf(a.method) - METHOD_NAMES.indexOf(b.method);
  const byModel = compareValues(a.factors[MODEL], b.factors[MODEL]);
  if (byMethod !== 0 || byModel !== 0) return byMethod || byModel;
  const bySize = compareValues(a.factors[TRAIN_ROWS], b.factors[TRAIN_ROWS]);
  if (bySize !== 0 || quarter(a) !== quarter(b)) return bySize || quarter(a) - quarter(b);
  const names = [...new Set([...Object.keys(a.factors), ...Object.keys(b.factors)])].sort(
    (x, y) => order(x) - order(y) || compareValues(x, y),
  );
  for (const name of names) {
    const difference = compareValues(a.factors[name], b.factors[name]);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function trainRows({ factors }: Setting): number | undefined {
  const rows = factors[TRAIN_ROWS];
  return typeof rows === 'number' ? rows : undefined;
}

export function modelOf({ factors }: Setting): string {
  return String(factors[MODEL]);
}

export function varyingModels(points: readonly Setting[]): boolean {
  return new Set(points.map(modelOf)).size > 1;
}

/** Lists of what has the same key, by the first of each. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups.values()];
}

/** Points that differ in nothing but the named factors. */
export function groupsBy(points: readonly Point[], but: readonly string[]): Point[][] {
  return groupBy(points, ({ method, factors }) =>
    canonicalJson([
      method,
      Object.entries(factors)
        .filter(([name]) => !but.includes(name))
        .sort(),
    ]),
  );
}
