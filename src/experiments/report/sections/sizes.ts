/** Table 1: figures against the number of training rows, a column for each variant, and the learning curve. */

import { curveChart, type Series } from '../charts/curve.js';
import { ALPHA, compareAll, type Context, type Pair } from '../context.js';
import { capital, count, figureCell, type Block, type Cell, type Section } from '../document.js';
import { mainFigure } from '../../../eval/index.js';
import { estimate } from '../evidence.js';
import { TRAIN_ROWS } from '../factors.js';
import {
  PUBLISHED_CURVES,
  publishedAccuracy,
  publishedModel,
  variantWord,
  type PublishedCurve,
} from '../published.js';
import { sheet, type SheetRow } from '../sheet.js';
import { groupsBy, modelOf, trainRows, variantsOf, type DataSet, type Point } from '../study.js';

/** The tuned points that were trained on several numbers of rows, their settings else the same: a list for each setting. */
export function sizeSeries(points: readonly Point[]): Point[][] {
  return groupsBy(
    points.filter(({ method }) => method === 'tuned'),
    [TRAIN_ROWS],
  ).filter((series) => series.length > 1);
}

export function sizeSection(set: DataSet, context: Context): Section | undefined {
  const all = sizeSeries(set.points);
  if (all.length === 0) return undefined;
  const models = [...new Set(all.map((series) => modelOf(series[0]!)))].sort();
  const rows: SheetRow[] = [];
  const blocks = models.flatMap((model) => {
    const series = all.filter(([first]) => modelOf(first!) === model);
    return modelBlocks(set, series, models.length > 1 ? model : '', context, rows);
  });
  context.csv(`sizes-${set.slug}.csv`, sheet(rows));
  return { id: `sizes-${set.slug}`, title: 'How much data it takes', blocks };
}

function modelBlocks(
  set: DataSet,
  series: readonly Point[][],
  model: string,
  context: Context,
  rows: SheetRow[],
): Block[] {
  const [figure, head] = mainFigure(set);
  const flat = series.flat();
  const variants = variantsOf(flat);
  const heads = series.map(([first]) => headOf(first!, variants));
  const reference = series[0]!;
  const pairs = series.slice(1).flatMap((points) =>
    points.flatMap((point): Pair[] => {
      const other = reference.find((p) => trainRows(p) === trainRows(point));
      return other ? [{ point, reference: other, name: heads[0]! }] : [];
    }),
  );
  const compared = compareAll(pairs, figure);
  const sizes = [...new Set(flat.map((p) => trainRows(p)!))].sort((a, b) => a - b);
  const curves = publishedCurves(set, flat, context);
  const at = (points: readonly Point[], size: number): Point | undefined =>
    points.find((p) => trainRows(p) === size);
  const body = sizes.map((size): Cell[] => {
    const here = series.map((points) => at(points, size));
    const best = Math.max(...here.map((p) => (p && estimate(p, figure)?.value) ?? -Infinity));
    const [fraction] = here.flatMap((p) => p?.measurements[0]!.task.train?.fraction ?? []);
    const measured = here.map((point): Cell => {
      if (!point) return { text: '–' };
      const value = estimate(point, figure);
      const cell = figureCell(value, value?.value === best && series.length > 1);
      return { ...cell, text: `${cell.text}${(compared.get(point)?.pHolm ?? 1) <= ALPHA ? ' *' : ''}` };
    });
    const printed = curves.map((curve): Cell => {
      const value = publishedAccuracy(curve, size, fraction);
      return { text: value === undefined ? '–' : value.toFixed(2) };
    });
    const share =
      fraction === undefined || fraction === 1
        ? {}
        : { detail: `${(100 * fraction).toLocaleString('en-US')} %` };
    return [{ text: size.toLocaleString('en-US'), ...share }, ...measured, ...printed];
  });
  for (const size of sizes) {
    for (const [i, points] of series.entries()) {
      const point = at(points, size);
      if (!point) continue;
      const fraction = point.measurements[0]!.task.train?.fraction;
      const curve = curves.find(({ variant }) => variant === variantWord(point.factors));
      const published = curve && publishedAccuracy(curve, size, fraction);
      const variant = heads[i]!;
      rows.push({
        set,
        point,
        variant,
        figure,
        estimate: estimate(point, figure),
        compared: compared.get(point),
        published,
      });
    }
  }
  const caption =
    `${capital(head)} in percent by the number of training rows${model === '' ? '' : `, ${model}`}; ${reading(flat)}. ` +
    (compared.size > 0
      ? `* differs from ${heads[0]} at the same size: paired test over the test rows, p ≤ ${ALPHA} after Holm's correction ` +
        `for the table's ${count(compared.size, 'comparison')}. `
      : '') +
    (heads.includes('both') ? 'Both: NEFTune and all modules.' : '');
  const chart: Series[] = [
    ...series.map((points, i) => ({
      name: legendName(heads[i]!),
      points: points.map((p) => curvePoint(p, figure)),
    })),
    ...curves.map((curve) => ({
      name: `${curve.variant} (published)`,
      foreign: true,
      points: sizes.flatMap((size) => {
        const point = flat.find((p) => trainRows(p) === size);
        const y = publishedAccuracy(curve, size, point?.measurements[0]!.task.train?.fraction);
        return y === undefined ? [] : [{ x: size, y }];
      }),
    })),
  ].filter(({ points }) => points.length > 0);
  const title = curveTitle(head, series, figure);
  return [
    {
      type: 'figure',
      figure: {
        title: `${title}${model === '' ? '' : ` (${model})`}`,
        alt: `Learning curve: ${head} by training rows, a line for each of ${heads.join(', ')}`,
        caption: 'Bands are 95 % intervals over the test rows.',
        draw: (width) =>
          curveChart(
            chart,
            { xTitle: 'training rows', yTitle: `${head} (%)`, ticks: 'each', markers: true, top: 100 },
            width,
          ),
      },
    },
    {
      type: 'table',
      table: {
        caption,
        heads: [
          { text: 'training rows' },
          ...heads.map((text) => ({ text })),
          ...curves.map(({ model: of, variant }) => ({ text: `${of}, ${variant}`, published: true })),
        ],
        rows: body,
      },
    },
  ];
}

/** How figures of these points are to be read. */
export function reading(points: readonly Point[]): string {
  const seeds = Math.max(...points.map(({ measurements }) => measurements.length));
  return seeds > 1
    ? `mean ± standard deviation over ${seeds} seeds, and the 95 % interval of the mean over the test rows`
    : 'with 95 % intervals over the test rows';
}

function headOf(point: Point, variants: ReadonlyMap<Point, string>): string {
  const variant = variants.get(point)!;
  return variant.replace(/^NEFTune, all modules/, 'both') || 'plain';
}

const legendName = (head: string): string => head.replace(/^both/, 'NEFTune, all modules');

function curvePoint(point: Point, figure: string): Series['points'][number] {
  const { value, interval } = estimate(point, figure)!;
  const band = interval && { low: 100 * interval.low, high: 100 * interval.high };
  return { x: trainRows(point)!, y: 100 * value, ...band };
}

function publishedCurves(set: DataSet, points: readonly Point[], context: Context): PublishedCurve[] {
  if (context.published(set) !== '20newsgroups') return [];
  const model = publishedModel(points[0]!);
  const words = new Set(points.map(({ factors }) => variantWord(factors)));
  return PUBLISHED_CURVES.filter((curve) => curve.model === model && words.has(curve.variant));
}

/** Says what is seen. */
function curveTitle(head: string, series: readonly Point[][], figure: string): string {
  const ends = series.map(
    (points) => [points[0]!, points.at(-1)!].map((p) => estimate(p, figure)!.value) as [number, number],
  );
  const what = capital(head);
  if (ends.every(([first, last]) => last > first)) return `${what} grows with the training rows`;
  if (ends.every(([first, last]) => last < first)) return `${what} falls with more training rows`;
  return `${what} by training rows`;
}
