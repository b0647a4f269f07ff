/** `westwind compare RUN RUN`: two runs' figures on the same test rows, whether they differ, and where. */

import { Option } from 'commander';
import { changedRows } from '../experiments/report/sections/answers.js';
import { figureHeads, mainFigure } from '../eval/index.js';
import { compare, type Comparison } from '../experiments/report/evidence.js';
import { compareValues, type Factors, type Value } from '../experiments/report/factors.js';
import { studyOf, type DataSet, type Measurement, type Point } from '../experiments/report/study.js';
import { beginning, readTestTexts, type TestTexts } from '../experiments/report/test-texts.js';
import { percent, withInterval } from '../experiments/store/results.js';
import { readRun } from '../experiments/store/stored.js';
import { UserError } from '../util/errors.js';
import { own } from '../util/own.js';
import { nonNegativeInteger } from './device.js';
import { METHOD_NAMES, type Method } from '../tasks/index.js';
import type { Verb } from './main.js';
import { sayJson, sayLines } from './output.js';
import { runFolderOf } from './runs.js';
import { tableText } from './table.js';

interface Flags {
  readonly runs: string;
  readonly task?: string;
  readonly method?: Method;
  readonly rows: number;
  readonly json?: boolean;
}

interface Pair {
  readonly set: DataSet;
  readonly a: Point;
  readonly b: Point;
}

export const verb: Verb = (command) => {
  command
    .argument('<run>', "a run's folder, or the beginning of its id")
    .argument('<other>', 'another')
    .option('--runs <dir>', 'where ids are looked for', 'runs')
    .option('--task <name>', 'only this task')
    .addOption(
      new Option(
        '--method <name>',
        'of runs that answered by several (default: tuned where both are)',
      ).choices(METHOD_NAMES),
    )
    .option('--rows <n>', 'how many rows to show that one does better than the other', nonNegativeInteger, 5)
    .option('--json', 'as JSON')
    .action(async (one: string, other: string, flags: Flags) => {
      const [a, b] = [one, other].map((name) => readRun(runFolderOf(name, flags.runs)));
      const pairs = pairsOf(studyOf([a!]).dataSets, studyOf([b!]).dataSets, flags);
      if (pairs.length === 0)
        throw new UserError(
          `${a!.folder} and ${b!.folder} have no task in common whose test rows both answered${flags.method ? ` by ${flags.method}` : ''}`,
        );
      const texts = await readTestTexts([a!, b!]);
      if (flags.json)
        sayJson(
          pairs.map((pair) => figuresOf(pair)),
          2,
        );
      else sayLines(pairs.map((pair) => text(pair, [a!.id, b!.id], flags.rows, texts)).join('\n'));
    });
};

function pairsOf(left: readonly DataSet[], right: readonly DataSet[], { task, method }: Flags): Pair[] {
  return left.flatMap((set): Pair[] => {
    if (task !== undefined && set.task !== task) return [];
    const other = right.find(
      (of) => of.task === set.task && of.source === set.source && of.testRows === set.testRows,
    );
    const [a, b] = [set, other].map((of) => chosen(of?.points ?? [], method));
    return a && b ? [{ set, a, b }] : [];
  });
}

function chosen(points: readonly Point[], method: Method | undefined): Point | undefined {
  if (method !== undefined) return points.find((point) => point.method === method);
  return points.find((point) => point.method === 'tuned') ?? points.at(-1);
}

function figuresOf({ set, a, b }: Pair): {
  task: string;
  settings: Record<string, readonly (Value | null)[]>;
  figures: Record<string, { a?: number; b?: number; comparison?: Comparison }>;
} {
  const figures = figureHeads(set).flatMap(([name]) => {
    const [x, y] = [a, b].map((point) => point.measurements[0]!.figures.metrics[name]);
    if (x === undefined && y === undefined) return [];
    const comparison = x !== undefined && y !== undefined ? compare(a, b, name) : undefined;
    return [
      [
        name,
        {
          ...(x !== undefined && { a: x }),
          ...(y !== undefined && { b: y }),
          ...(comparison && { comparison }),
        },
      ],
    ] as const;
  });
  return { task: set.task, settings: differences(a, b), figures: Object.fromEntries(figures) };
}

/** Settings that differ: each one's value. */
function differences(a: Point, b: Point): Record<string, readonly (Value | null)[]> {
  const all = ({ method, factors, measurements: [first] }: Point): Factors => ({
    method,
    ...(first!.seed !== undefined && { seed: first!.seed }),
    ...factors,
  });
  const [x, y] = [all(a), all(b)];
  const names = [...new Set([...Object.keys(x), ...Object.keys(y)])].sort();
  const differing = names.filter((name) => compareValues(own(x, name), own(y, name)) !== 0);
  return Object.fromEntries(differing.map((name) => [name, [own(x, name) ?? null, own(y, name) ?? null]]));
}

function text(pair: Pair, [idA, idB]: readonly [string, string], shown: number, texts: TestTexts): string {
  const { set, a, b } = pair;
  const { settings, figures } = figuresOf(pair);
  const interval = (point: Point, name: string): string => {
    const { metrics, intervals } = point.measurements[0]!.figures;
    return withInterval(metrics[name], intervals[name]);
  };
  const rows = Object.entries(figures).map(([name, { comparison }]) => [
    name,
    interval(a, name),
    interval(b, name),
    comparison ? withInterval(comparison.difference, comparison.interval) : '',
    comparison ? comparison.p.toPrecision(2) : '',
  ]);
  const setting = (value: Value | null | undefined): string => String(value ?? '');
  const settingRows = Object.entries(settings).map(([name, [x, y]]) => [name, setting(x), setting(y)]);
  const [figure] = mainFigure(set);
  const changed = changedRows(a, b, figure);
  const better = changed.filter(({ figures: [x, y] }) => x > y);
  const worse = changed.filter(({ figures: [x, y] }) => x < y).reverse();
  const [{ run, task }] = a.measurements as [Measurement];
  const given = texts(run, task);
  const lines = [...better.slice(0, shown), ...worse.slice(0, shown)].map(
    ({ row, reference, a: left, b: right, figures: [x, y] }) =>
      `row ${row + 1}, right: ${one(reference)}\n${given ? `  text: ${beginning(given.get(row) ?? '')}\n` : ''}  ${idA} (${percent(x)}): ${one(left)}\n  ${idB} (${percent(y)}): ${one(right)}\n`,
  );
  return (
    `${tableText([set.task, idA, idB, 'difference', 'p'], rows)}\n\n` +
    `${set.testRows} test rows; figures in percent with 95 % intervals over the rows; p by a paired test\n\n` +
    (settingRows.length > 0 ? `${tableText(['setting', idA, idB], settingRows)}\n\n` : '') +
    `${
      changed.length === 0
        ? `a tie: no row's ${figure} differs`
        : `${idA} does better on ${better.length} rows, ${idB} on ${worse.length}${better.length === worse.length ? ': a tie' : ''}`
    }\n${lines.length > 0 ? '\n' : ''}${lines.join('')}`
  );
}

/** An answer on one line. */
function one(answer: string | null): string {
  return answer === null ? '(no answer)' : answer.replace(/\s+/g, ' ');
}
