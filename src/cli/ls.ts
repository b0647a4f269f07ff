/** `westwind ls [DIR]`: the runs of a folder, a line each. */

import { namesOf, findingsOf } from '../experiments/report/findings.js';
import { mainFigure } from '../eval/index.js';

import { readRuns, type FoundRuns } from '../experiments/report/gather.js';
import { beginning } from '../experiments/report/test-texts.js';
import { stopText, withInterval, type TaskResult } from '../experiments/store/results.js';
import type { StoredRun } from '../experiments/store/stored.js';
import type { Verb } from './main.js';
import { sayJson, sayLines } from './output.js';
import { tableText } from './table.js';

interface Line {
  readonly id: string;
  readonly state: StoredRun['state'];
  readonly task: string;
  readonly model: string;
  /** What was done: 'zero-shot', 'QLoRA, NEFTune'. */
  readonly what: string;
  readonly train_rows?: number;
  readonly figure?: {
    readonly name: string;
    readonly value: number;
    readonly low?: number;
    readonly high?: number;
  };
  /** What a training's evaluations chose. */
  readonly chosen?: Chosen;
  readonly started: string;
  readonly failure?: string;
}

type Chosen = Pick<
  NonNullable<TaskResult['training']>,
  'steps' | 'best_step' | 'best_metric' | 'metric_for_best_model' | 'stopped_early' | 'stopped_by'
>;

function chosenOf({ training }: TaskResult): { readonly chosen?: Chosen } {
  if (training?.metric_for_best_model === undefined) return {};
  const keys = [
    ...(['steps', 'best_step', 'best_metric', 'metric_for_best_model'] as const),
    ...(['stopped_early', 'stopped_by'] as const),
  ];
  const chosen = Object.fromEntries(keys.map((key) => [key, training[key]])) as unknown as Chosen;
  return { chosen };
}

export const verb: Verb = (command) => {
  command
    .argument('[dir...]', "folders of runs, or runs' own", ['runs'])
    .option('--json', 'a JSON object a line')
    .action((dirs: string[], { json }: { json?: boolean }) => {
      const lines = linesOf(readRuns(dirs));
      if (json) for (const line of lines) sayJson(line);
      else sayLines(table(lines));
    });
};

/** A line for each method of each run; one for a run that has no figures yet. */
function linesOf({ runs, damaged }: FoundRuns): Line[] {
  const measured = findingsOf(runs).dataSets.flatMap((set) => {
    const names = namesOf(set.points);
    const [name] = mainFigure(set);
    return set.points.flatMap((point) =>
      point.measurements.map(({ run, result, figures }) => {
        const value = figures.metrics[name];
        const figure = value !== undefined && { figure: { name, value, ...figures.intervals[name] } };
        const trained = figures.method === 'tuned' && { train_rows: result.train_rows, ...chosenOf(result) };
        return [run.id, { task: set.task, what: names.get(point)!, ...trained, ...figure }] as const;
      }),
    );
  });
  const broken = damaged.map(({ id, state, failure }): Line => {
    return { id, state, task: '', model: '', what: '', started: '', failure };
  });
  const read = runs.flatMap((run): Line[] => {
    const { id, state, failure, manifest } = run;
    const { config, started } = manifest;
    const common = {
      id,
      state,
      model: config.model_name_or_path,
      started,
      ...(failure !== undefined && { failure }),
    };
    const mine = measured.filter(([of]) => of === id).map(([, line]) => line);
    if (mine.length > 0) return mine.map((line) => ({ ...common, ...line }));
    const [only, ...others] = run.results;
    const chosen = only && others.length === 0 ? chosenOf(only) : {};
    return [{ ...common, task: config.tasks.map(({ name }) => name).join(', '), what: '', ...chosen }];
  });
  return [...read, ...broken];
}

function table(lines: readonly Line[]): string {
  // Most folders have no such training.
  const evaluated = lines.some(({ chosen }) => chosen);
  const rows = lines.map(({ id, state, task, model, what, train_rows, figure, chosen, started, failure }) => [
    ...[id, state, task, model, what],
    train_rows === undefined ? '' : String(train_rows),
    figure
      ? `${figure.name} ${withInterval(figure.value, figure.low === undefined ? undefined : { low: figure.low, high: figure.high! })}`
      : beginning(failure ?? '', 120),
    ...(evaluated ? [chosen ? chosenText(chosen) : ''] : []),
    started.slice(0, 16).replace('T', ' '),
  ]);
  const best = evaluated ? ['best step'] : [];
  return tableText(
    ['run', 'state', 'task', 'model', 'what', 'rows', 'figure', ...best, 'started (UTC)'],
    rows,
  );
}

/** '120 of 160, stopped early' */
function chosenText({ best_step, steps, ...how }: Chosen): string {
  return `${best_step ?? 'none'} of ${steps}${stopText(how)}`;
}
