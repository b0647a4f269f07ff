/** Tuning's settings against one another: heat maps, two at a time, and what each setting does by itself. */

import { dotChart, type Dot } from '../charts/dots.js';
import { heatMaps, type HeatPanel } from '../charts/heat.js';
import type { Context } from '../context.js';
import { capital, count, figureCell, figureText, type Block, type Cell, type Section } from '../document.js';
import { mainFigure } from '../../../eval/index.js';
import { estimate, estimateMean, type Estimate } from '../evidence.js';
import { axisName, MODEL, MODULES, NEFTUNE, TRAIN_ROWS, valuesOf, varying, type Value } from '../factors.js';
import { toCsv, csvFigure, type CsvCell } from '../csv.js';
import { groupBy, inStep, modelOf, order, trainRows, type DataSet, type Point } from '../study.js';

/** A grid of settings, complete or nearly so. */
export interface Grid {
  readonly points: readonly Point[];
  /** The factors that vary, one of those that run in step. */
  readonly axes: readonly string[];
  /** Points beside the grid, that have a value no other has. */
  readonly left: number;
}

/** What part of a grid's places must have a run, so that means over the other settings compare like with like. */
const COVERAGE = 0.75;
/** Figures of more panels are no figure any more. */
const MOST_PANELS = 24;

/** The grid among the points of one model and number of training rows; undefined where there is nothing but Table 1's variants. */
export function gridOf(points: readonly Point[]): Grid | undefined {
  let kept = points;
  for (;;) {
    const axes = inStep(varying(kept), kept);
    if (fullness(kept) >= COVERAGE) {
      const told = axes.some((axis) => axis !== NEFTUNE && axis !== MODULES);
      return told && kept.length >= 3 ? { points: kept, axes, left: points.length - kept.length } : undefined;
    }
    // A value that leaves most places empty belongs to another study that shares the folder.
    const without = axes
      .flatMap((axis) =>
        valuesOf(axis, kept).map((value) => kept.filter(({ factors }) => factors[axis] !== value)),
      )
      // Full is good, and so is large: otherwise a square of four would win.
      .map((rest) => ({ rest, worth: fullness(rest) * rest.length }));
    kept = without.reduce((a, b) => (b.worth > a.worth ? b : a)).rest;
  }
}

/** The part of a grid's places that have a run. */
function fullness(points: readonly Point[]): number {
  const places = inStep(varying(points), points).reduce((n, axis) => n * valuesOf(axis, points).length, 1);
  return points.length / places;
}

function having(points: readonly Point[], axis: string, value: Value | undefined): Point[] {
  return points.filter(({ factors }) => factors[axis] === value);
}

export function ablationSection(set: DataSet, context: Context): Section | undefined {
  const tuned = set.points.filter(({ method }) => method === 'tuned');
  const groups = groupBy(tuned, (point) => `${modelOf(point)} ${String(point.factors[TRAIN_ROWS])}`);
  const grids = groups.map(gridOf).filter((grid) => grid !== undefined);
  if (grids.length === 0) return undefined;
  const csv: CsvCell[][] = [];
  const blocks = grids.flatMap((grid) => gridBlocks(set, grid, grids.length > 1, csv));
  const heads = [
    'task',
    'model',
    'training_rows',
    'setting',
    'value',
    'figure',
    'mean',
    'low',
    'high',
    'runs',
  ];
  context.csv(`effects-${set.slug}.csv`, toCsv(heads, csv));
  return { id: `ablation-${set.slug}`, title: 'What each setting does', blocks };
}

function gridBlocks(set: DataSet, grid: Grid, several: boolean, csv: CsvCell[][]): Block[] {
  const { points, axes, left } = grid;
  const [figure, head] = mainFigure(set);
  const [first] = points;
  const where = `${modelOf(first!)}, ${count(trainRows(first!) ?? 0, 'training row')}`;
  const effects = axes.map((axis) => ({
    axis,
    name: nameOf(axis, points),
    values: effectsOf(axis, points, figure),
  }));
  for (const { axis, values } of effects) {
    for (const { value, estimate: mean, runs } of values) {
      const { low, high } = mean.interval ?? {};
      csv.push([
        set.task,
        modelOf(first!),
        trainRows(first!),
        axis,
        value === undefined ? '' : String(value),
        figure,
        csvFigure(mean.value),
        csvFigure(low),
        csvFigure(high),
        runs,
      ]);
    }
  }
  const largest = effects.reduce((a, b) => (extent(b.values) > extent(a.values) ? b : a));
  const best = points.reduce((a, b) => (estimate(b, figure)!.value > estimate(a, figure)!.value ? b : a));
  const setting = axes
    .map((axis) => `${nameOf(axis, points)} ${shown(best.factors[axis], axis, points)}`)
    .join(', ');
  const [low, high] = ends(largest.values);
  const places = axes.reduce((n, axis) => n * valuesOf(axis, points).length, 1);
  const blocks: Block[] = [
    ...(several ? [{ type: 'heading', text: where } as const] : []),
    {
      type: 'text',
      text:
        `${count(points.length, 'combination')} of ${effects.map(({ name }) => name).join(', ')}` +
        (several ? '' : ` (${where})`) +
        (points.length < places ? `, of ${places} that the grid would have` : '') +
        `${left > 0 ? `; ${count(left, 'other setting')} outside the grid ${left === 1 ? 'is' : 'are'} in the table of all runs` : ''}. ` +
        `The best is ${setting}: ${head} ${figureText(estimate(best, figure)!)}. ` +
        `What moves the mean most is ${largest.name}: from ${(100 * low.estimate.value).toFixed(2)} % at ${shown(low.value, largest.axis, points)} ` +
        `to ${(100 * high.estimate.value).toFixed(2)} % at ${shown(high.value, largest.axis, points)}.`,
    },
  ];
  const heat = axes.length > 1 ? heatFigure(axes, points, figure, head) : undefined;
  if (heat) blocks.push(heat);
  const dots = effects.flatMap(({ axis, name, values }, group): Dot[] =>
    values.map(({ value, estimate: { value: mean, interval } }) => ({
      name: `${name} ${shown(value, axis, points)}`,
      value: 100 * mean,
      ...(interval && { low: 100 * interval.low, high: 100 * interval.high }),
      group,
    })),
  );
  blocks.push(
    {
      type: 'figure',
      figure: {
        title: `Each setting's mean ${head}`,
        alt: dots.map((d) => `${d.name}: ${d.value.toFixed(1)}`).join('; '),
        caption:
          'Means over the runs with that value, whatever their other settings; lines are 95 % intervals over the test rows.',
        draw: (width) => dotChart(dots, `${head} (%)`, false, width),
      },
    },
    {
      type: 'table',
      table: {
        caption: `Mean ${head} in percent over the runs with each value, with its 95 % interval over the test rows.`,
        heads: [
          { text: 'setting', words: true },
          { text: 'value' },
          { text: `mean ${head}` },
          { text: 'runs' },
        ],
        rows: effects.flatMap(({ axis, name, values }) =>
          values.map(({ value, estimate: mean, runs }, i): Cell[] => [
            { text: i === 0 ? name : '' },
            { text: shown(value, axis, points) },
            figureCell(mean),
            { text: String(runs) },
          ]),
        ),
      },
    },
  );
  return blocks;
}

interface Effect {
  readonly value: Value | undefined;
  readonly estimate: Estimate;
  readonly runs: number;
}

function effectsOf(axis: string, points: readonly Point[], figure: string): Effect[] {
  return valuesOf(axis, points).map((value) => {
    const at = having(points, axis, value);
    return {
      value,
      estimate: estimateMean(at, figure)!,
      runs: at.reduce((n, p) => n + p.measurements.length, 0),
    };
  });
}

function ends(effects: readonly Effect[]): [Effect, Effect] {
  const sorted = [...effects].sort((a, b) => a.estimate.value - b.estimate.value);
  return [sorted[0]!, sorted.at(-1)!];
}

function extent(effects: readonly Effect[]): number {
  const [low, high] = ends(effects);
  return high.estimate.value - low.estimate.value;
}

/** An axis with those that run in step with it: 'LoRA rank / LoRA alpha'. */
function nameOf(axis: string, points: readonly Point[]): string {
  return partners(axis, points).map(axisName).join(' / ');
}

function partners(axis: string, points: readonly Point[]): string[] {
  const others = varying(points).filter(
    (name) => name !== axis && name !== MODEL && inStep([axis, name], points).length === 1,
  );
  return [axis, ...others.sort((a, b) => order(a) - order(b))];
}

/** A value with those that go with it. */
function shown(value: Value | undefined, axis: string, points: readonly Point[]): string {
  const [point] = having(points, axis, value);
  return partners(axis, points)
    .map((name) => String(point!.factors[name] ?? 'none'))
    .join(' / ');
}

/** The two settings of most values make each map, and each combination of the others has one. */
function heatFigure(
  axes: readonly string[],
  points: readonly Point[],
  figure: string,
  head: string,
): Block | undefined {
  const byValues = [...axes].sort((a, b) => valuesOf(b, points).length - valuesOf(a, points).length);
  const [x, y] = byValues as [string, string];
  const others = axes.filter((axis) => axis !== x && axis !== y);
  const combinations = others.reduce<Record<string, Value | undefined>[]>(
    (all, axis) => all.flatMap((made) => valuesOf(axis, points).map((value) => ({ ...made, [axis]: value }))),
    [{}],
  );
  if (combinations.length > MOST_PANELS) return undefined;
  const [xs, ys] = [valuesOf(x, points), valuesOf(y, points)];
  const panels = combinations.map((combination): HeatPanel => {
    const here = points.filter(({ factors }) => others.every((axis) => factors[axis] === combination[axis]));
    const title = others
      .map((axis) => `${nameOf(axis, points)} ${shown(combination[axis], axis, points)}`)
      .join(', ');
    return {
      title,
      cells: ys.map((vy) =>
        xs.map((vx) => {
          const [point] = having(having(here, x, vx), y, vy);
          return point && 100 * estimate(point, figure)!.value;
        }),
      ),
    };
  });
  const values = panels.flatMap(({ cells }) => cells.flat()).filter((value) => value !== undefined);
  const [xTitle, yTitle] = [nameOf(x, points), nameOf(y, points)];
  return {
    type: 'figure',
    figure: {
      title: `${capital(head)} by ${xTitle} and ${yTitle}`,
      alt: panels
        .map(
          (p) =>
            `${p.title}: ${p.cells.map((row) => row.map((v) => v?.toFixed(1) ?? '–').join(' ')).join('; ')}`,
        )
        .join('. '),
      caption: `${capital(head)} in percent${others.length > 0 ? `, a map for each ${others.map((axis) => nameOf(axis, points)).join(' and ')}` : ''}; darker is higher.`,
      draw: (width) =>
        heatMaps(
          panels,
          {
            xTitle,
            yTitle,
            xNames: xs.map((value) => shown(value, x, points)),
            yNames: ys.map((value) => shown(value, y, points)),
            show: (value) => value.toFixed(1),
            domain: [Math.min(...values), Math.max(...values)],
          },
          width,
        ),
    },
  };
}
