/** The answers themselves: which label was taken for which, and the rows on which two methods differ. */

import { classificationReport, confusionMatrix, mainFigure, metricOf } from '../../../eval/index.js';
import { heatMaps } from '../charts/heat.js';
import { describe, type Context } from '../context.js';
import { count, percent1, pText, type Block, type Cell, type Section } from '../document.js';
import { answersOf, compare, estimate, rowFigures } from '../evidence.js';
import type { DataSet, Point } from '../study.js';
import { beginning } from '../test-texts.js';
import { allNames } from './methods.js';

/** Labels beyond which a matrix cannot be read. */
const MOST_LABELS = 40;
const MOST_CONFUSED = 8;

export function confusionSection(set: DataSet): Section | undefined {
  const best = bestOf(set, set.points);
  if (!metricOf(set.metric).labelled || !best) return undefined;
  const predictions = best.measurements.flatMap(answersOf);
  const report = classificationReport(
    predictions.map((p) => p.reference),
    predictions.map((p) => p.answer),
  );
  const { labels, confusion } = report;
  const names = labels.map(({ label }) => label);
  const wrong = confusion
    .filter(({ label, answer }) => label !== answer)
    .map(({ label, answer, rows }) => ({ n: rows, right: names[label]!, taken: names[answer]! }))
    .sort((a, b) => b.n - a.n || (a.right < b.right ? -1 : 1))
    .slice(0, MOST_CONFUSED);
  const most = confusion.reduce((largest, { rows }) => Math.max(largest, rows), 0);
  const seeds = best.measurements.length;
  const blocks: Block[] = [];
  if (labels.length <= MOST_LABELS) {
    const cells = confusionMatrix(report);
    blocks.push({
      type: 'figure',
      figure: {
        title: `Labels given by ${describe(best, allNames(set))}`,
        alt: wrong.map(({ n, right, taken }) => `${right} taken for ${taken}: ${n}`).join('; '),
        caption:
          `Test rows by their label (lines) and the answer (columns); what is right lies on the diagonal. ` +
          `Rows without an answer that is a label are in none${seeds > 1 ? `. Counts of ${seeds} seeds together` : ''}.`,
        draw: (width) =>
          heatMaps(
            [{ title: '', cells }],
            {
              xTitle: 'answer',
              yTitle: 'label',
              xNames: names,
              yNames: names,
              show: (n) => (n === 0 ? '' : String(n)),
              domain: [0, most],
              square: true,
            },
            width,
          ),
      },
    });
  }
  if (wrong.length > 0) {
    blocks.push({
      type: 'table',
      table: {
        caption: `What was confused most${seeds > 1 ? `, in ${seeds} seeds together` : ''}.`,
        heads: [{ text: 'label', words: true }, { text: 'answered', words: true }, { text: 'rows' }],
        rows: wrong.map(({ n, right, taken }): Cell[] => [
          { text: right },
          { text: taken },
          { text: String(n) },
        ]),
      },
    });
  }
  return { id: `confusion-${set.slug}`, title: 'What is confused', blocks };
}

export function bestOf(set: DataSet, points: readonly Point[]): Point | undefined {
  const [figure] = mainFigure(set);
  const value = (point: Point): number => estimate(point, figure)?.value ?? -Infinity;
  return points.length === 0 ? undefined : points.reduce((a, b) => (value(b) > value(a) ? b : a));
}

/** Rows of a difference between two points. */
export interface Changed {
  readonly row: number;
  readonly reference: string;
  readonly a: string | null;
  readonly b: string | null;
  /** The row's figure by a and by b. */
  readonly figures: readonly [number, number];
}

/** The rows whose figure differs most, those that a has the better of before the others; by one seed that both have, else their first. */
export function changedRows(a: Point, b: Point, figure: string): Changed[] {
  const seeds = new Set(b.measurements.map(({ seed }) => seed));
  const left = a.measurements.find(({ seed }) => seeds.has(seed)) ?? a.measurements[0]!;
  const right = b.measurements.find(({ seed }) => seed === left.seed) ?? b.measurements[0]!;
  const [of, other] = [rowFigures(left, figure), rowFigures(right, figure)];
  if (!of || !other) return [];
  const answers = new Map(answersOf(right).map((p) => [p.row, p.answer]));
  return answersOf(left)
    .filter(({ row }) => other.has(row) && of.get(row) !== other.get(row))
    .map(({ row, reference, answer }): Changed => ({
      row,
      reference,
      a: answer,
      b: answers.get(row) ?? null,
      figures: [of.get(row)!, other.get(row)!],
    }))
    .sort((x, y) => y.figures[0] - y.figures[1] - (x.figures[0] - x.figures[1]) || x.row - y.row);
}

const SHOWN = 5;

/** Where the best method differs from the best of the others it should be seen against: a baseline, and another way of tuning. */
export function differencesSection(set: DataSet, context: Context): Section | undefined {
  const best = bestOf(set, set.points);
  if (!best) return undefined;
  const others = [
    bestOf(
      set,
      set.points.filter(({ method }) => method !== 'tuned' && method !== best.method),
    ),
    bestOf(
      set,
      set.points.filter((p) => p !== best && p.method === 'tuned'),
    ),
  ].filter((point) => point !== undefined);
  const names = allNames(set);
  const blocks = others.flatMap((other) => pairBlocks(set, best, other, names, context));
  return blocks.length === 0
    ? undefined
    : { id: `examples-${set.slug}`, title: 'Rows that tell methods apart', blocks };
}

function pairBlocks(
  set: DataSet,
  a: Point,
  b: Point,
  names: ReadonlyMap<Point, string>,
  context: Context,
): Block[] {
  const [figure, head] = mainFigure(set);
  const changed = changedRows(a, b, figure);
  const comparison = compare(a, b, figure);
  if (!comparison || changed.length === 0) return [];
  const better = changed.filter(({ figures: [x, y] }) => x > y);
  const worse = changed.filter(({ figures: [x, y] }) => x < y).reverse();
  const hits = metricOf(set.metric).figures[figure]!.hits === true;
  const text =
    `Of ${count(comparison.rows, 'test row')} the first does better on ${comparison.better} and worse on ${comparison.worse} ` +
    `(p ${comparison.p < 0.001 ? '' : '= '}${pText(comparison.p)}, paired test of these two alone). ` +
    (hits
      ? 'Some of the rows that one has right and the other wrong:'
      : `The rows where their ${head} differs most:`);
  const shown = [...better.slice(0, SHOWN), ...worse.slice(0, SHOWN)];
  const texts = context.texts(set);
  const [nameA, nameB] = [describe(a, names), describe(b, names)];
  const answer = (given: string | null, value: number): Cell => ({
    text: given ?? 'no answer',
    detail: hits ? (value === 1 ? 'right' : 'wrong') : `${head} ${percent1(value)}`,
  });
  return [
    { type: 'heading', text: `${nameA} against ${nameB}` },
    { type: 'text', text },
    {
      type: 'table',
      table: {
        caption: 'Row numbers are those of the test file, from 1.',
        heads: [
          { text: 'row' },
          ...(texts ? [{ text: 'text', words: true }] : []),
          { text: 'right answer', words: true },
          { text: nameA, words: true },
          { text: nameB, words: true },
        ],
        rows: shown.map(({ row, reference, a: given, b: other, figures: [x, y] }): Cell[] => [
          { text: String(row + 1) },
          ...(texts ? [{ text: beginning(texts.get(row) ?? '') }] : []),
          { text: reference },
          answer(given, x),
          answer(other, y),
        ]),
      },
    },
  ];
}
