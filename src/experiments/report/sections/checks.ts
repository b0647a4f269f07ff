/** What the configurations' checks of answers came to: a column for each, and a mark where a figure is out of its bounds. */

import { spread } from '../../../eval/index.js';
import { own } from '../../../util/own.js';
import { boundsText, figureText, isOut, type CheckFigure } from '../../store/check-figures.js';
import type { Context } from '../context.js';
import { csvFigure, toCsv, type CsvCell } from '../csv.js';
import { count, type Cell, type Section } from '../document.js';
import { modelOf, trainRows, varyingModels, type DataSet, type Point } from '../study.js';
import { allNames } from './methods.js';

const FAILED = '✗';

export function checksSection(set: DataSet, context: Context): Section | undefined {
  const points = set.points.filter((point) => namesIn(point).length > 0);
  if (points.length === 0) return undefined;
  const names = [...new Set(points.flatMap(namesIn))];
  const variants = allNames(set);
  context.csv(`checks-${set.slug}.csv`, checksSheet(set, points, variants));
  const models = varyingModels(points);
  const sizes = new Set(points.filter(({ method }) => method === 'tuned').map(trainRows));
  const bounds = new Map(names.map((name) => [name, new Set(figureHeads(points, name).map(boundsText))]));
  const seeds = points.some(({ measurements }) => measurements.length > 1);
  const all = names
    .flatMap((name) => figureHeads(points, name))
    .filter((figure) => boundsText(figure) !== '');
  const failed = all.filter(isOut).length;
  const judged =
    all.length === 0
      ? ''
      : failed === 0
        ? ' All of them that have bounds are within.'
        : ` ${failed} of ${count(all.length, 'figure')} with bounds ${failed === 1 ? 'is' : 'are'} out of them, marked ${FAILED}.`;
  return {
    id: `checks-${set.slug}`,
    title: 'Checks',
    blocks: [
      {
        type: 'table',
        table: {
          caption:
            `Means over ${count(set.testRows, 'test row')} of what the configuration asked for, with 95 % intervals` +
            `${seeds ? '; mean ± standard deviation where there are several seeds' : ''}.${judged}`,
          heads: [
            { text: 'method', words: true },
            ...(models ? [{ text: 'model', words: true }] : []),
            ...(sizes.size > 1 ? [{ text: 'training rows' }] : []),
            ...names.map((name) => {
              const [only, ...others] = bounds.get(name)!;
              return { text: others.length === 0 ? name + only! : name };
            }),
          ],
          rows: points.map((point): Cell[] => [
            { text: variants.get(point)! },
            ...(models ? [{ text: modelOf(point) }] : []),
            ...(sizes.size > 1
              ? [{ text: point.method === 'tuned' ? trainRows(point)!.toLocaleString('en-US') : '–' }]
              : []),
            ...names.map((name) => checkCell(figureHeads([point], name), bounds.get(name)!.size > 1)),
          ]),
        },
      },
    ],
  };
}

function namesIn({ measurements }: Point): string[] {
  return [...new Set(measurements.flatMap(({ figures }) => Object.keys(figures.checks ?? {})))];
}

function figureHeads(points: readonly Point[], name: string): CheckFigure[] {
  return points.flatMap(({ measurements }) =>
    measurements.flatMap(({ figures }) => own(figures.checks, name) ?? []),
  );
}

/** Of several seeds their mean; it is marked where one of them is out, as that one's run has failed. */
function checkCell(figures: readonly CheckFigure[], withBounds: boolean): Cell {
  const [first, ...others] = figures;
  if (!first) return { text: '–' };
  const { mean, deviation } = spread(figures.map((figure) => figure.mean));
  const out = figures.filter(isOut).length;
  const text = others.length === 0 ? figureText(mean) : `${figureText(mean)} ± ${figureText(deviation)}`;
  const details = [
    ...(others.length === 0
      ? [`[${figureText(first.interval.low)}, ${figureText(first.interval.high)}]`]
      : []),
    ...(others.length > 0 && out > 0 ? [`${out} of ${count(figures.length, 'seed')}`] : []),
    ...(withBounds ? [boundsText(first).trim()].filter((bound) => bound !== '') : []),
  ];
  return {
    text: out > 0 ? `${FAILED} ${text}` : text,
    ...(details.length > 0 && { detail: details.join(' ') }),
    ...(out > 0 && { failed: true }),
  };
}

/** A line for each run's figure. */
function checksSheet(set: DataSet, points: readonly Point[], variants: ReadonlyMap<Point, string>): string {
  const heads = [
    'run',
    'task',
    'test_data',
    'model',
    'method',
    'variant',
    'training_rows',
    'seed',
    'test_rows',
  ];
  const rows = points.flatMap((point) =>
    point.measurements.flatMap(({ run, seed, figures }) =>
      Object.entries(figures.checks ?? {}).map(([name, figure]): CsvCell[] => [
        ...[run.id, set.task, set.source, modelOf(point), point.way, variants.get(point)!],
        ...[trainRows(point), seed, set.testRows, name],
        ...[csvFigure(figure.mean), csvFigure(figure.interval.low), csvFigure(figure.interval.high)],
        ...[figure.min, figure.max],
        boundsText(figure) === '' ? undefined : isOut(figure) ? 'failed' : 'passed',
      ]),
    ),
  );
  return toCsv([...heads, 'check', 'mean', 'low', 'high', 'min', 'max', 'outcome'], rows);
}
