/** How the loss fell while each method trained, and what it was trained on. */

import { readInspected, readSteps, type StoredRun } from '../../store/stored.js';
import { curveChart, type Series } from '../charts/curve.js';
import { count, type Block, type Section } from '../document.js';
import { mainFigure } from '../../../eval/index.js';
import { estimate } from '../evidence.js';
import { modelOf, trainRows, varyingModels, type DataSet, type Measurement, type Point } from '../study.js';
import { methodsOf } from './methods.js';

/** More lines cannot be told apart. */
export const MOST_LINES = 8;
/** Means of so many stretches of steps: single steps' losses hide the course. */
const STRETCHES = 60;

export function lossSection(set: DataSet): Section | undefined {
  const [figure] = mainFigure(set);
  const { points: methods, names } = methodsOf(set);
  const tuned = methods.filter(({ method }) => method === 'tuned');
  const value = (point: Point): number => estimate(point, figure)?.value ?? -Infinity;
  const best = new Set([...tuned].sort((a, b) => value(b) - value(a)).slice(0, MOST_LINES));
  const points = tuned.filter((point) => best.has(point));
  const models = varyingModels(tuned);
  const lines = points.map((point): LossLine => {
    const { run, result } = point.measurements[0]!;
    const name = models ? `${modelOf(point)}, ${names.get(point)!}` : names.get(point)!;
    return { name, run, task: result.task, rows: trainRows(point) };
  });
  const notes = [
    ...(tuned.length > points.length ? [`the ${points.length} best of ${tuned.length}`] : []),
    ...(points.some((p) => p.measurements.length > 1) ? ['of several seeds the first'] : []),
  ];
  const blocks = lossBlocks(lines, notes);
  return blocks.length === 0 ? undefined : { id: `loss-${set.slug}`, title: 'Training loss', blocks };
}

/** A training whose loss is drawn. */
export interface LossLine {
  readonly name: string;
  readonly run: StoredRun;
  readonly task: string;
  /** That it was trained on. */
  readonly rows: number | undefined;
}

/** The losses of trainings as a figure; nothing where none has steps enough for a line. `notes`: what to say of the choice of lines. */
export function lossBlocks(lines: readonly LossLine[], notes: readonly string[]): Block[] {
  const series = lines.flatMap(({ name, run, task }): Series[] => {
    const steps = readSteps(run, task).filter(({ loss }) => Number.isFinite(loss));
    if (steps.length < 2) return [];
    return [{ name, points: smoothed(steps.map(({ step, loss }) => ({ x: step, y: loss }))) }];
  });
  if (series.length === 0) return [];
  const [first, ...others] = new Set(lines.map(({ rows }) => rows));
  const sizes = others.length === 0 && first !== undefined ? ` on ${first.toLocaleString('en-US')} rows` : '';
  const averaged = series.some((s) => s.points.length === STRETCHES)
    ? ', averaged over stretches of steps'
    : '';
  return [
    {
      type: 'figure',
      figure: {
        title: `Training loss by step${sizes}`,
        alt: series
          .map((s) => `${s.name}: from ${s.points[0]!.y.toFixed(2)} to ${s.points.at(-1)!.y.toFixed(2)}`)
          .join('; '),
        caption: `${[`Mean over each trained token, in nats${averaged}`, ...notes].join('; ')}.`,
        draw: (width) =>
          curveChart(series, { xTitle: 'step', yTitle: 'loss', ticks: 'round', markers: false }, width),
      },
    },
  ];
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

const SHOWN_ROWS = 3;
const SHOWN_TOKENS = 400;

/** Some training rows as tokens, of the first tuned run that kept them. */
export function inspectedSection(set: DataSet): Section | undefined {
  const tuned = set.points.filter(({ method }) => method === 'tuned');
  const blocks = inspectedBlocks(tuned.flatMap(({ measurements }) => measurements));
  return blocks.length === 0
    ? undefined
    : { id: `inspected-${set.slug}`, title: 'What was trained on', blocks };
}

/** The same of any trainings, the first of them that kept some; nothing where none did. */
export function inspectedBlocks(of: readonly Pick<Measurement, 'run' | 'result'>[]): Block[] {
  const kept = of.find((one) => readInspected(one.run, one.result.task) !== undefined);
  if (!kept) return [];
  const rows = readInspected(kept.run, kept.result.task)!;
  const blocks = rows.slice(0, SHOWN_ROWS).flatMap(({ row, shortened, trained, tokens }): Block[] => [
    {
      type: 'note',
      text: `Row ${row + 1}: ${count(tokens.length, 'token')}, ${trained} of them trained on${shortened ? '; its text was shortened' : ''}${tokens.length > SHOWN_TOKENS ? `; the last ${SHOWN_TOKENS} are shown` : ''}.`,
    },
    {
      type: 'tokens',
      tokens: tokens.slice(-SHOWN_TOKENS).map((token) => ({ text: token.text, trained: token.trained })),
    },
  ]);
  if (blocks.length === 0) return [];
  const text = `Training rows of run ${kept.run.id}, token by token; the loss is taken on the marked ones.`;
  return [{ type: 'text', text }, ...blocks];
}
