/** Table 2: the untuned model asked zero-shot and few-shot, beside what tuning makes of it. */

import { dotChart, type Dot } from '../charts/dots.js';
import { compareAll, type Context, type Pair } from '../context.js';
import {
  capital,
  figureCell,
  points as pointsText,
  pText,
  type Cell,
  type Head,
  type Section,
} from '../document.js';
import { figureHeads, mainFigure, metricOf } from '../../../eval/index.js';
import { METHOD_NAMES } from '../../../tasks/index.js';
import { estimate } from '../evidence.js';
import { TRAIN_ROWS } from '../factors.js';
import { PUBLISHED_SUMMARIES, publishedModel, variantWord, type PublishedSummary } from '../published.js';
import { sheet, type SheetRow } from '../sheet.js';
import {
  groupBy,
  groupsBy,
  modelOf,
  namesOf,
  trainRows,
  varyingModels,
  type DataSet,
  type Point,
} from '../study.js';
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
  if (points.length < 2) return undefined;
  const [figure, head] = mainFigure(set);
  const models = varyingModels(points);
  const figures = figureHeads(set).filter(([name]) => points.some((point) => estimate(point, name)));
  const pairs = points.flatMap((point): Pair[] => {
    const alike = points.filter((other) => modelOf(other) === modelOf(point));
    const reference = alike.find(({ method }) => method === 'tuned') ?? alike[0]!;
    return reference === point ? [] : [{ point, reference, name: names.get(reference)! }];
  });
  const compared = compareAll(pairs, figure);
  const printed = publishedRows(set, points, context);
  const best = new Map(
    figures.map(([name]) => [name, Math.max(...points.map((p) => estimate(p, name)?.value ?? 0))]),
  );
  const sizes = new Set(points.filter((p) => p.method === 'tuned').map(trainRows));
  const heads: Head[] = [
    { text: 'method', words: true },
    ...(models ? [{ text: 'model', words: true }] : []),
    ...(sizes.size > 1 ? [{ text: 'training rows' }] : []),
    ...figures.map(([, text]) => ({ text })),
    { text: 'no answer' },
    ...(compared.size > 0 ? [{ text: `difference in ${head}` }, { text: 'p' }] : []),
    ...(printed.size > 0
      ? [
          { text: 'ROUGE-1', published: true },
          { text: 'ROUGE-2', published: true },
        ]
      : []),
  ];
  const rows = points.map((point): Cell[] => {
    const test = compared.get(point);
    const other = printed.get(point);
    return [
      { text: names.get(point)! },
      ...(models ? [{ text: modelOf(point) }] : []),
      ...(sizes.size > 1
        ? [{ text: point.method === 'tuned' ? trainRows(point)!.toLocaleString('en-US') : '–' }]
        : []),
      ...figures.map(([name]) => {
        const of = estimate(point, name);
        return figureCell(of, of !== undefined && of.value === best.get(name));
      }),
      { text: unanswered(point) },
      ...(compared.size === 0
        ? []
        : test
          ? [
              { text: pointsText(test.comparison.difference), detail: range(test.comparison.interval) },
              { text: pText(test.pHolm) },
            ]
          : [{ text: 'reference' }, { text: '' }]),
      ...(printed.size > 0
        ? [
            { text: other?.rouge1.toFixed(2) ?? '–', ...(other && { detail: other.model }) },
            { text: other?.rouge2.toFixed(2) ?? '–', ...(other && { detail: other.model }) },
          ]
        : []),
    ];
  });
  context.csv(
    `methods-${set.slug}.csv`,
    sheet(
      points.flatMap((point) =>
        figures.map(([name]): SheetRow => {
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
      ),
    ),
  );
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
  const { note } = metricOf(set.metric);
  const caption =
    `In percent, ${reading(points)}; ${set.testRows.toLocaleString('en-US')} test rows. ` +
    (compared.size > 0
      ? `Differences in points from ${[...new Set(pairs.map(({ name }) => name))].join(' or ')}, with their interval; ` +
        `p of the paired test over the test rows, after Holm's correction for ${compared.size} comparison${compared.size === 1 ? '' : 's'}. `
      : '') +
    [...(note === undefined ? [] : [note]), ...notesOf(set)].map((note) => `${note}.`).join(' ');
  return {
    id: `methods-${set.slug}`,
    title: 'Prompting and tuning',
    blocks: [
      {
        type: 'figure',
        figure: {
          title: `${capital(head)} of each method`,
          alt: `${head} in percent with 95 % intervals: ${dots.map((d) => `${d.name} ${d.value.toFixed(1)}`).join('; ')}`,
          caption: `Points are figures over all test rows, lines their 95 % intervals${printed.size > 0 ? '; open diamonds are published figures, not measured here' : ''}.`,
          draw: (width) => dotChart(dots, `${head} (%)`, true, width),
        },
      },
      { type: 'table', table: { caption, heads, rows } },
    ],
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
