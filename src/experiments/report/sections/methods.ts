/** Table 2: the untuned model asked zero-shot and few-shot, beside what tuning makes of it. */

import { dotChart, type Dot } from '../charts/dots.js';
import { compareAll, type Context, type Pair } from '../context.js';
import {
  capital,
  figureCell,
  points as pointsText,
  pText,
  type Cell,
  type Figure,
  type Head,
  type Section,
} from '../document.js';
import { figureHeads, mainFigure, metricOf, type PairedComparison } from '../../../eval/index.js';
import { METHOD_NAMES } from '../../../tasks/index.js';
import { estimate } from '../evidence.js';
import { exportedEstimate, exportedNote, exportedOf, type ExportedPoint } from '../exported.js';
import { TRAIN_ROWS } from '../factors.js';
import { PUBLISHED_SUMMARIES, publishedModel, variantWord, type PublishedSummary } from '../published.js';
import { sheet, type Compared, type SheetRow } from '../sheet.js';
import {
  groupBy,
  groupsBy,
  modelOf,
  namesOf,
  trainRows,
  varyingModels,
  type DataSet,
  type Point,
} from '../findings.js';
import { overlapNotes } from '../../data/overlap.js';
import { reading } from './sizes.js';

/** More tuned points than these and the table would be one of an ablation, which has its own. */
const MOST_TUNED = 12;

export interface Methods {
  readonly points: readonly Point[];
  /** By what tells them apart. */
  readonly names: ReadonlyMap<Point, string>;
}

/** Baselines, and of each tuned setting the point of the most training rows; of many settings the best of each variant. */
export function methodsOf(set: DataSet): Methods {
  const [figure] = mainFigure(set);
  const value = (point: Point): number => estimate(point, figure)?.value ?? -Infinity;
  const largest = groupsBy(
    set.points.filter(({ method }) => method === 'tuned'),
    [TRAIN_ROWS],
  ).map((series) => series.reduce((a, b) => ((trainRows(b) ?? 0) > (trainRows(a) ?? 0) ? b : a)));
  // Settings that were tried on small samples alone do not stand beside those that had all rows.
  const most = new Map<string, number>();
  for (const point of largest)
    most.set(modelOf(point), Math.max(most.get(modelOf(point)) ?? 0, trainRows(point) ?? 0));
  const full = largest.filter((point) => trainRows(point) === most.get(modelOf(point)));
  const chosen =
    full.length <= MOST_TUNED
      ? full
      : groupBy(full, (p) => `${modelOf(p)} ${p.way} ${variantWord(p.factors)}`).map((alike) =>
          alike.reduce((a, b) => (value(b) > value(a) ? b : a)),
        );
  const points = set.points.filter((point) => point.method !== 'tuned' || chosen.includes(point));
  return { points, names: namesOf(chosen.length < full.length ? set.points : points) };
}

/** Names for a text about all points of a data set: those of the table of methods, and for others all that tells them apart. */
export function allNames(set: DataSet): Map<Point, string> {
  return new Map([...namesOf(set.points), ...methodsOf(set).names]);
}

export function methodSection(set: DataSet, context: Context): Section | undefined {
  const { points, names } = methodsOf(set);
  const exported = exportedOf(points, names);
  if (points.length + exported.length < 2) return undefined;
  const [figure] = mainFigure(set);
  const figures = figureHeads(set).filter(([name]) => points.some((point) => estimate(point, name)));
  const pairs = pairsOf(points, names);
  const compared = compareAll(pairs, figure);
  const printed = publishedRows(set, points, context);
  const about = { set, points, names, figures, compared, printed, exported };
  const columns = columnsOf(about);
  const rows = points.flatMap((point): Cell[][] => [
    columns.map(({ of }) => of(point)),
    ...exported
      .filter((one) => one.point === point)
      .map((one) => columns.map(({ ofExported }) => ofExported(one))),
  ]);
  context.csv(`methods-${set.slug}.csv`, methodsSheet(about));
  const { note } = metricOf(set.metric);
  const caption =
    `In percent, ${reading(points)}; ${set.testRows.toLocaleString('en-US')} test rows. ` +
    (compared.size > 0
      ? `Differences in points from ${[...new Set(pairs.map(({ name }) => name))].join(' or ')}, with their interval; ` +
        `p of the paired test over the test rows, after Holm's correction for ${compared.size} comparison${compared.size === 1 ? '' : 's'}. `
      : '') +
    exportedNote(exported) +
    [...(note === undefined ? [] : [note]), ...notesOf(set)].map((note) => `${note}.`).join(' ');
  return {
    id: `methods-${set.slug}`,
    title: 'Prompting and tuning',
    blocks: [
      { type: 'figure', figure: methodsFigure(about) },
      { type: 'table', table: { caption, heads: columns.map(({ head }) => head), rows } },
    ],
  };
}

/** A column: what it says of a point, and of what was exported of one. */
interface Column {
  readonly head: Head;
  readonly of: (point: Point) => Cell;
  readonly ofExported: (exported: ExportedPoint) => Cell;
}

function columnsOf({ set, points, names, figures, compared, printed, exported }: MethodTable): Column[] {
  const [, head] = mainFigure(set);
  const best = new Map(
    figures.map(([name]) => [name, Math.max(...points.map((p) => estimate(p, name)?.value ?? 0))]),
  );
  const sizes = new Set(points.filter((p) => p.method === 'tuned').map(trainRows));
  const model = (point: Point): Cell => ({ text: modelOf(point) });
  const size = (point: Point): Cell => ({
    text: point.method === 'tuned' ? trainRows(point)!.toLocaleString('en-US') : '–',
  });
  const print = (name: 'rouge1' | 'rouge2', text: string): Column => ({
    head: { text, published: true },
    of: (point) => {
      const other = printed.get(point);
      return { text: other?.[name].toFixed(2) ?? '–', ...(other && { detail: other.model }) };
    },
    ofExported: () => ({ text: '–' }),
  });
  return [
    {
      head: { text: 'method', words: true },
      of: (point) => ({ text: names.get(point)! }),
      ofExported: ({ name, certificate: { certified_rows, test_rows } }) => ({
        text: name,
        detail: `${certified_rows} of ${test_rows} test rows`,
      }),
    },
    ...(varyingModels(points)
      ? [
          {
            head: { text: 'model', words: true },
            of: model,
            ofExported: ({ point }: ExportedPoint) => model(point),
          },
        ]
      : []),
    ...(sizes.size > 1
      ? [
          {
            head: { text: 'training rows' },
            of: size,
            ofExported: ({ point }: ExportedPoint) => size(point),
          },
        ]
      : []),
    ...figures.map(([name, text]): Column => ({
      head: { text },
      of: (point) => {
        const of = estimate(point, name);
        return figureCell(of, of !== undefined && of.value === best.get(name));
      },
      ofExported: (one) => figureCell(exportedEstimate(one, name)),
    })),
    {
      head: { text: 'no answer' },
      of: (point) => ({ text: unanswered(point) }),
      ofExported: ({ certificate }) => ({ text: String(certificate.exported_answers.unanswered) }),
    },
    ...(compared.size + exported.length > 0 ? differenceColumns(head, compared) : []),
    ...(printed.size > 0 ? [print('rouge1', 'ROUGE-1'), print('rouge2', 'ROUGE-2')] : []),
  ];
}

/** How far it is from what it is compared with, and p. */
function differenceColumns(head: string, compared: MethodTable['compared']): Column[] {
  const difference = ({ difference, interval }: Pick<PairedComparison, 'difference' | 'interval'>): Cell => ({
    text: pointsText(difference),
    detail: range(interval),
  });
  return [
    {
      head: { text: `difference in ${head}` },
      of: (point) => {
        const test = compared.get(point);
        return test ? difference(test.comparison) : { text: 'reference' };
      },
      ofExported: ({ certificate }) => difference(certificate.paired),
    },
    {
      head: { text: 'p' },
      of: (point) => {
        const test = compared.get(point);
        return { text: test ? pText(test.pHolm) : '' };
      },
      ofExported: ({ certificate }) => ({ text: pText(certificate.paired.p) }),
    },
  ];
}

/** Each point beside the tuned one of its model, or the first where none is. */
function pairsOf(points: readonly Point[], names: ReadonlyMap<Point, string>): Pair[] {
  return points.flatMap((point): Pair[] => {
    const alike = points.filter((other) => modelOf(other) === modelOf(point));
    const reference = alike.find(({ method }) => method === 'tuned') ?? alike[0]!;
    return reference === point ? [] : [{ point, reference, name: names.get(reference)! }];
  });
}

/** What a table of methods is about. */
interface MethodTable {
  readonly set: DataSet;
  readonly points: readonly Point[];
  readonly names: ReadonlyMap<Point, string>;
  readonly figures: readonly (readonly [name: string, head: string])[];
  readonly compared: ReadonlyMap<Point, Compared>;
  readonly printed: ReadonlyMap<Point, PublishedSummary>;
  readonly exported: readonly ExportedPoint[];
}

function methodsSheet({ set, points, names, figures, compared, printed, exported }: MethodTable): string {
  const [figure] = mainFigure(set);
  const rowsOf = (one: ExportedPoint): SheetRow[] =>
    figures.map(([name]): SheetRow => {
      const { certificate, point } = one;
      const rows = certificate.certified_rows;
      return {
        ...{ set, point, variant: one.name, figure: name, estimate: exportedEstimate(one, name), rows },
        ...(name === figure && {
          compared: { name: names.get(point)!, comparison: { ...certificate.paired, rows } },
        }),
      };
    });
  return sheet(
    points.flatMap((point) => [
      ...figures.map(([name]): SheetRow => {
        const other = printed.get(point);
        return {
          set,
          point,
          variant: names.get(point)!,
          figure: name,
          estimate: estimate(point, name),
          compared: name === figure ? compared.get(point) : undefined,
          published: name === 'rouge1' ? other?.rouge1 : name === 'rouge2' ? other?.rouge2 : undefined,
        };
      }),
      ...exported.filter((one) => one.point === point).flatMap(rowsOf),
    ]),
  );
}

function methodsFigure({ set, points, names, printed }: MethodTable): Figure {
  const [figure, head] = mainFigure(set);
  const models = varyingModels(points);
  const dots = points.map((point): Dot => {
    const { value, interval } = estimate(point, figure)!;
    const other = printed.get(point);
    return {
      name: models ? `${modelOf(point)}: ${names.get(point)!}` : names.get(point)!,
      value: 100 * value,
      ...(interval && { low: 100 * interval.low, high: 100 * interval.high }),
      ...(other && figure === 'rouge1' && { published: other.rouge1 }),
      group: METHOD_NAMES.indexOf(point.method),
    };
  });
  return {
    title: `${capital(head)} of each method`,
    alt: `${head} in percent with 95 % intervals: ${dots.map((d) => `${d.name} ${d.value.toFixed(1)}`).join('; ')}`,
    caption: `Points are figures over all test rows, lines their 95 % intervals${printed.size > 0 ? '; open diamonds are published figures, not measured here' : ''}.`,
    draw: (width) => dotChart(dots, `${head} (%)`, true, width),
  };
}

export function unanswered({ measurements }: Point): string {
  const counts = measurements.map(({ figures }) => figures.unanswered);
  const mean = counts.reduce((a, b) => a + b, 0) / counts.length;
  return Number.isInteger(mean) ? String(mean) : mean.toFixed(1);
}

export function range({ low, high }: { readonly low: number; readonly high: number }): string {
  return `[${pointsText(low)}, ${pointsText(high)}]`;
}

function publishedRows(
  set: DataSet,
  points: readonly Point[],
  context: Context,
): Map<Point, PublishedSummary> {
  if (context.published(set) !== 'samsum') return new Map();
  return new Map(
    points.flatMap((point) => {
      const row = PUBLISHED_SUMMARIES.find(
        ({ model, method, variant }) =>
          model === publishedModel(point) &&
          method === point.method &&
          (method !== 'tuned' || variant === variantWord(point.factors)),
      );
      return row ? [[point, row] as const] : [];
    }),
  );
}

/** What its rows have in common, as the runs of the most training rows have it. */
function notesOf({ points }: DataSet): string[] {
  const results = points.flatMap(({ measurements }) => measurements.map(({ result }) => result));
  const told = results
    .filter(({ overlap }) => overlap !== undefined)
    .sort((a, b) => b.train_rows - a.train_rows)[0];
  return told?.overlap ? overlapNotes(told.overlap, told) : [];
}
