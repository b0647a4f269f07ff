/** A study as text: its grid with what it will take, and what it came to. */

import { join } from 'node:path';
import { failedChecks } from '../experiments/checks/failed.js';
import { labelOf, shortName, shown, type Axis, type Study } from '../experiments/config/index.js';
import type { RunForecast } from '../experiments/plan/index.js';
import { figureColumns, withInterval } from '../experiments/store/results.js';
import { methodName } from '../tasks/index.js';
import type { StudyRunState } from '../experiments/run/supervise-study.js';
import { bestText, FLATTERED, searchEnd } from '../experiments/store/trials.js';
import { tableText } from './table.js';
import { duration, gib } from './units.js';

export function axesOf({ axes }: Study): string[] {
  return axes.map((axis) => axis.path.join('.'));
}

/** The runs before they begin: what each is, and what it will take. */
export function gridText(study: Study, forecasts: readonly RunForecast[]): string {
  const axes = axesOf(study);
  const grid = study.axes.map((axis) => `${axis.path.join('.')}: ${axisText(axis)}\n`);
  const search = study.runs[0]?.config.search;
  if (search) {
    // What a trial that is stopped saves nobody knows before.
    const most = search.halving ? '; the sums are of trials that all go to their end' : '';
    grid.push(`${search.method} search: ${search.trials} trials, by seed ${search.seed}${most}\n`);
  }
  const rows = study.runs.map((run, i) => {
    const plan = forecasts[i]!;
    if ('fault' in plan) return [labelOf(run, axes), '', 'cannot run', ''];
    const { tokens, peak, seconds, fits } = plan;
    return [labelOf(run, axes), String(tokens), gib(peak) + (fits ? '' : ' too much'), time(seconds)];
  });
  const plans = forecasts.flatMap((plan) => ('fault' in plan ? [] : [plan]));
  const sum = (part: (plan: (typeof plans)[number]) => number): number =>
    plans.reduce((n, plan) => n + part(plan), 0);
  const total = [
    `${study.runs.length} run${study.runs.length === 1 ? '' : 's'}`,
    String(sum((p) => p.tokens)),
    gib(Math.max(...plans.map((p) => p.peak))),
    time(plans.some((p) => p.seconds === undefined) ? undefined : sum((p) => p.seconds!)),
  ];
  return `${grid.join('')}\n${tableText(['run', 'tokens', 'peak GiB', 'at least'], [...rows, total])}`;
}

function axisText({ values, range }: Axis): string {
  if (!range) return values.map(shown).join(', ');
  return `${shown(range.low)} to ${shown(range.high)}${range.log ? ', over its logarithm' : ''}`;
}

/** Why runs have no plan, a line each. */
export function faultLines(study: Study, forecasts: readonly RunForecast[]): string[] {
  const axes = axesOf(study);
  return study.runs.flatMap((run, i) => {
    const plan = forecasts[i]!;
    return 'fault' in plan ? [`${labelOf(run, axes)}: ${plan.fault.split('\n')[0]!}`] : [];
  });
}

function time(seconds: number | undefined): string {
  return seconds === undefined ? '' : duration(seconds);
}

/** A table for each task: a row a run, with its place on the axes and its figures. */
export function studyTables(study: Study, states: readonly StudyRunState[]): string {
  const axes = axesOf(study);
  const tasks = [...new Set(study.runs.map((run) => run.config.tasks[0]!.name))];
  return tasks
    .map((task) => {
      const mine = states.filter(({ run }) => run.config.tasks[0]!.name === task);
      if (!mine.some(({ result }) => result)) return `${task}: no run has a result`;
      const varied = axes.filter((axis) => mine.some(({ run }) => Object.hasOwn(run.at, axis)));
      const results = mine.flatMap(({ result }) => result ?? []);
      const columns = results[0]
        ? figureColumns(
            results[0].metric,
            results.flatMap((r) => r.methods),
          )
        : [];
      if (results.every(({ methods }) => methods.length === 0))
        return trainingTable(task, mine, varied, axes);
      const rows = mine.flatMap(({ run, result, tuning = '' }) => {
        if (!result) return [];
        const { methods, training, train_rows } = result;
        const place = varied.map((axis) => (Object.hasOwn(run.at, axis) ? shown(run.at[axis]) : ''));
        const common = [...place, String(training ? train_rows : '')];
        // It answered nothing: its place is among the others all the same.
        if (training?.stopped_by)
          return [
            [
              tuning,
              ...common,
              ...columns.map((_, i) => (i === 0 ? `stopped, step ${training.steps}` : '')),
              '',
            ],
          ];
        return methods.map((method) => [
          methodName(method.method, tuning),
          ...common,
          ...columns.map(([name]) => withInterval(method.metrics[name], method.intervals[name])),
          String(method.unanswered),
        ]);
      });
      const heads = [
        task,
        ...varied.map((axis) => shortName(axis, axes)),
        'rows',
        ...columns.map(([, head]) => head),
      ];
      return tableText([...heads, 'no answer'], rows);
    })
    .join('\n\n');
}

/** What a search came to, a line or two for each task: how many were tried, and which is best by the validation rows. */
export function searchLines(study: Study, states: readonly StudyRunState[]): string[] {
  const axes = axesOf(study);
  const runs = states.flatMap(({ run, folder, result }) =>
    folder === undefined || !result
      ? []
      : [{ run, config: run.config, folder: join(folder, result.task), result }],
  );
  const tasks = [...new Set(runs.map(({ result }) => result.task))];
  const ends = tasks.flatMap((task) => searchEnd(runs.filter(({ result }) => result.task === task)) ?? []);
  const lines = ends.map((end) => {
    const { tried, stopped, best } = end;
    const ways = stopped > 0 ? `; ${stopped} of them stopped on the way` : '';
    const [first] = (best ?? tried[0]!).runs;
    const { task } = first!.result;
    const settings = labelOf(first!.run, axes).slice(task.length + 2);
    if (!best) return `${task}: ${tried.length} tried, none of them evaluated on validation rows${ways}`;
    return `${task}: ${bestText(end)!}: trial ${best.trial}, ${settings}${ways}`;
  });
  return lines.length === 0 ? [] : [...lines, FLATTERED];
}

/** Of a task without test rows there is how its trainings went. */
function trainingTable(
  task: string,
  states: readonly StudyRunState[],
  varied: readonly string[],
  axes: readonly string[],
): string {
  const rows = states.flatMap(({ run, result, tuning = '' }) =>
    result?.training
      ? [
          [
            tuning,
            ...varied.map((axis) => (Object.hasOwn(run.at, axis) ? shown(run.at[axis]) : '')),
            String(result.train_rows),
            String(result.training.steps),
            result.training.first_loss.toFixed(3),
            result.training.last_loss.toFixed(3),
          ],
        ]
      : [],
  );
  const heads = [
    task,
    ...varied.map((axis) => shortName(axis, axes)),
    'rows',
    'steps',
    'first loss',
    'last loss',
  ];
  return tableText(heads, rows);
}

/** A line for each check that failed: of the tuned runs of a task where there are such, else of its baselines. */
export function studyChecks(study: Study, states: readonly StudyRunState[]): string[] {
  const axes = axesOf(study);
  return states.flatMap(({ run, result }) => {
    const { name, tune } = run.config.tasks[0]!;
    const judged =
      tune || !study.runs.some(({ config: { tasks } }) => tasks[0]!.name === name && tasks[0]!.tune);
    return judged && result ? failedChecks([{ ...result, task: labelOf(run, axes) }]) : [];
  });
}
