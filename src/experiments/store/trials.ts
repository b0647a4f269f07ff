/** The trials of a search as they ended: how many there were, how many were stopped, and which is the best by the validation rows. */

import { canonicalJson, searchMetric, type ResolvedConfig } from '../config/index.js';
import { TASK_FILES } from './layout.js';
import type { TaskResult } from './results.js';
import { figureOf } from './steps.js';

/** A run of one task that a search may have drawn. */
export interface SearchedRun {
  readonly config: ResolvedConfig;
  /** The task's. */
  readonly folder: string;
  readonly result: TaskResult;
}

/** A trial, which is a run, or one of each seed. */
export interface Trial<R extends SearchedRun = SearchedRun> {
  readonly trial: number;
  readonly runs: readonly R[];
  /** One of them was stopped for the sake of other trials. */
  readonly stopped: boolean;
  /** What was kept, by the search's metric on the validation rows: the mean over the runs; NaN where it was not evaluated. */
  readonly figure: number;
}

export interface SearchEnd<R extends SearchedRun = SearchedRun> {
  readonly method: string;
  /** How many were to be tried. */
  readonly trials: number;
  /** Those that have ended, the best first, those that were stopped last. */
  readonly tried: readonly Trial<R>[];
  readonly stopped: number;
  /** Undefined: none was evaluated. */
  readonly metric: string | undefined;
  readonly best: Trial<R> | undefined;
}

/** For every reader of a best one. */
export const FLATTERED =
  'The best of so many flatters itself, for it is the luckiest of them, too: what it is worth the test rows say, asked of it alone.';

/** What a search of one task came to; undefined where none of the runs is a trial that has ended. */
export function searchEnd<R extends SearchedRun>(runs: readonly R[]): SearchEnd<R> | undefined {
  const trained = runs.filter(({ config, result }) => config.search && result.training);
  const [first] = trained;
  if (!first) return undefined;
  const numbers = [...new Set(trained.map(({ config }) => config.search!.trial))];
  const trials = numbers.map((trial): Trial<R> => {
    const own = trained.filter(({ config }) => config.search!.trial === trial);
    const figures = own.map(keptFigure);
    return {
      ...{ trial, runs: own, figure: figures.reduce((sum, figure) => sum + figure, 0) / figures.length },
      stopped: own.some(({ result }) => result.training!.stopped_by === 'search'),
    };
  });
  const search = first.config.search!;
  const by = searchMetric(search, trainingOf(first));
  const sign = by?.greater_is_better ? -1 : 1;
  const worth = ({ figure }: Trial): number => (Number.isNaN(figure) ? Infinity : sign * figure);
  const tried = trials.sort(
    (a, b) => Number(a.stopped) - Number(b.stopped) || compare(worth(a), worth(b)) || a.trial - b.trial,
  );
  const best = tried.find(({ stopped, figure }) => !stopped && !Number.isNaN(figure));
  return {
    ...{ method: search.method, tried, metric: by?.metric, best },
    trials: Math.max(...trained.map(({ config }) => config.search!.trials)),
    stopped: tried.filter(({ stopped }) => stopped).length,
  };
}

/** Differences of infinite numbers are none. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

function trainingOf({ config, result }: SearchedRun): ResolvedConfig['tasks'][number]['training'] {
  return config.tasks.find(({ name }) => name === result.task)!.training;
}

/** By the search's metric, that of the evaluation whose weights were kept; NaN where there is none. */
function keptFigure(run: SearchedRun): number {
  const training = trainingOf(run);
  const by = searchMetric(run.config.search!, training);
  const { steps, best_step } = run.result.training!;
  const kept = training.load_best_model_at_end ? best_step : steps;
  const evaluation = TASK_FILES.evaluations.read(run.folder).find(({ step }) => step === kept);
  return by && evaluation ? figureOf(evaluation, by.metric) : Number.NaN;
}

/** Runs of several searches, apart: of one task, by one method, seed and metric. */
export function searchesOf<R extends SearchedRun>(runs: readonly R[]): R[][] {
  const searches = new Map<string, R[]>();
  for (const run of runs) {
    const { search } = run.config;
    if (!search) continue;
    const { method, seed, metric, halving } = search;
    const rules = halving && { ...halving, before: undefined };
    const key = canonicalJson([run.result.task, method, seed, metric ?? null, rules ?? null]);
    searches.set(key, [...(searches.get(key) ?? []), run]);
  }
  return [...searches.values()];
}

/** 'best of 20 tried, by validation loss 1.234'; undefined where none was evaluated. */
export function bestText({ tried, metric, best }: SearchEnd): string | undefined {
  return best && `best of ${tried.length} tried, by validation ${metric!} ${best.figure.toFixed(4)}`;
}
