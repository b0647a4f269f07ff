/** How the loss fell while each method trained, and that of validation rows where it was evaluated. */

import type { TaskResult } from '../../store/results.js';
import { readEvaluations, readSteps, type StoredRun } from '../../store/stored.js';
import { curveChart, type Series } from '../charts/curve.js';
import { type ReportBlock, type Section } from '../document.js';
import { mainFigure } from '../../../eval/index.js';
import { estimate } from '../evidence.js';
import { modelOf, trainRows, varyingModels, type DataSet, type Point } from '../findings.js';
import type { Context } from '../context.js';
import { methodsOf } from './methods.js';
import { validationBlocks } from './validation.js';

/** More lines cannot be told apart. */
const MOST_LINES = 8;

/** How many trainings can be shown in one figure: one that was evaluated has two lines. */
export function mostLines(results: readonly TaskResult[]): number {
  return results.some(isEvaluated) ? MOST_LINES / 2 : MOST_LINES;
}

function isEvaluated({ training }: TaskResult): boolean {
  return training?.metric_for_best_model !== undefined;
}

/** Means of so many stretches of steps: single steps' losses hide the course. */
const STRETCHES = 60;

export function lossSection(set: DataSet, context: Context): Section | undefined {
  const [figure] = mainFigure(set);
  const { points: methods, names } = methodsOf(set);
  const tuned = methods.filter(({ method }) => method === 'tuned');
  const value = (point: Point): number => estimate(point, figure)?.value ?? -Infinity;
  const all = tuned.flatMap(({ measurements }) => measurements.map(({ result }) => result));
  const best = new Set([...tuned].sort((a, b) => value(b) - value(a)).slice(0, mostLines(all)));
  const points = tuned.filter((point) => best.has(point));
  const models = varyingModels(tuned);
  const nameOf = (point: Point): string =>
    models ? `${modelOf(point)}, ${names.get(point)!}` : names.get(point)!;
  const lines = points.map((point): LossLine => {
    const { run, result } = point.measurements[0]!;
    return { name: nameOf(point), run, result, rows: trainRows(point) };
  });
  const notes = [
    ...(tuned.length > points.length ? [`the ${points.length} best of ${tuned.length}`] : []),
    ...(points.some((p) => p.measurements.length > 1) ? ['of several seeds the first'] : []),
  ];
  const trainings = tuned.flatMap((point) =>
    point.measurements.map((training) => ({ name: nameOf(point), setting: point, training })),
  );
  const blocks = [
    ...lossBlocks(lines, notes),
    ...validationBlocks(trainings, (text) => context.csv(`validation-${set.slug}.csv`, text)),
  ];
  const title = all.some(isEvaluated) ? 'Training and validation loss' : 'Training loss';
  return blocks.length === 0 ? undefined : { id: `loss-${set.slug}`, title, blocks };
}

/** A training whose loss is drawn. */
export interface LossLine {
  readonly name: string;
  readonly run: StoredRun;
  readonly result: TaskResult;
  /** That it was trained on. */
  readonly rows: number | undefined;
}

/** The losses of trainings as a figure; nothing where none has steps enough for a line. `notes`: what to say of the choice of lines. */
export function lossBlocks(lines: readonly LossLine[], notes: readonly string[]): ReportBlock[] {
  const series = lines.flatMap(({ name, run, result }): Series[] => {
    const steps = readSteps(run, result.task).filter(({ loss }) => Number.isFinite(loss));
    if (steps.length < 2) return [];
    const points = smoothed(steps.map(({ step, loss }) => ({ x: step, y: loss })));
    const evaluations = readEvaluations(run, result.task).filter(({ loss }) => Number.isFinite(loss));
    if (evaluations.length === 0) return [{ name, points }];
    const beside = evaluations.map(({ step, loss }) => ({ x: step, y: loss }));
    return [{ name, points, beside: { points: beside, chosen: result.training?.best_step } }];
  });
  if (series.length === 0) return [];
  const [first, ...others] = new Set(lines.map(({ rows }) => rows));
  const sizes = others.length === 0 && first !== undefined ? ` on ${first.toLocaleString('en-US')} rows` : '';
  const averaged = series.some((s) => s.points.length === STRETCHES)
    ? ', averaged over stretches of steps'
    : '';
  const evaluated = series.some(({ beside }) => beside);
  const how = evaluated
    ? ['dashed: of the validation rows, with a ring at the step that was the best by what chose it']
    : [];
  return [
    {
      type: 'figure',
      figure: {
        title: `${evaluated ? 'Training and validation' : 'Training'} loss by step${sizes}`,
        alt: series.map(inWords).join('; '),
        caption: `${[`Mean over each trained token, in nats${averaged}`, ...how, ...notes].join('; ')}.`,
        draw: (width) =>
          curveChart(series, { xTitle: 'step', yTitle: 'loss', ticks: 'round', markers: false }, width),
      },
    },
  ];
}

/** A line for those who do not see it. */
function inWords({ name, points, beside }: Series): string {
  const span = (of: Series['points']): string => `from ${of[0]!.y.toFixed(2)} to ${of.at(-1)!.y.toFixed(2)}`;
  if (!beside) return `${name}: ${span(points)}`;
  const best = beside.chosen === undefined ? '' : `, the best at step ${beside.chosen}`;
  return `${name}: ${span(points)}, of validation rows ${span(beside.points)}${best}`;
}

function smoothed(steps: readonly { x: number; y: number }[]): { x: number; y: number }[] {
  if (steps.length <= STRETCHES) return [...steps];
  return Array.from({ length: STRETCHES }, (_, i) => {
    const part = steps.slice(
      Math.floor((i * steps.length) / STRETCHES),
      Math.floor(((i + 1) * steps.length) / STRETCHES),
    );
    return { x: part.at(-1)!.x, y: part.reduce((sum, { y }) => sum + y, 0) / part.length };
  });
}
