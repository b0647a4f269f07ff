/** Lines over a number: learning curves with their intervals as bands, and losses over steps. */

import { scaleLinear, scaleLog } from 'd3-scale';
import {
  area,
  line as lineOf,
  symbol,
  symbolCircle,
  symbolDiamond,
  symbolSquare,
  symbolTriangle,
  type SymbolType,
} from 'd3-shape';
import { colour, label, line, px, svg, textWidth, wrapped } from './svg.js';

interface CurvePoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

export interface Series {
  readonly name: string;
  readonly points: readonly CurvePoint[];
  /** Dashed, without a band: figures from elsewhere. */
  readonly foreign?: boolean;
  /** A dashed line beside it, of the same colour, with a ring at the one of its points that was chosen (its x). */
  readonly beside?: { readonly points: readonly CurvePoint[]; readonly chosen?: number | undefined };
}

export interface CurveOptions {
  readonly xTitle: string;
  readonly yTitle: string;
  /** 'each': every x is a tick, on a logarithmic axis where they span much. */
  readonly ticks: 'each' | 'round';
  readonly markers: boolean;
  /** The y axis begins at 0 and ends here at most; else it spans the figures. */
  readonly top?: number;
}

const SHAPES: readonly SymbolType[] = [symbolCircle, symbolSquare, symbolTriangle, symbolDiamond];
const SIZE = 12.5;

export function curveChart(series: readonly Series[], options: CurveOptions, width: number): string {
  const narrow = width < 500;
  const names = series.map(({ name }) => name);
  const longest = Math.max(...names.map((name) => textWidth(name, SIZE)));
  const right = narrow ? 10 : Math.min(200, longest + 24);
  const legend = narrow ? legendLines(names, width) : [];
  const legendHeight = legend.length * 19;
  const [left, top, bottom] = [46, 26 + legendHeight, 52];
  const height = (narrow ? 300 : 380) + legendHeight;
  const all = series.flatMap(({ points, beside }) => [...points, ...(beside?.points ?? [])]);
  const xs = [...new Set(all.map(({ x }) => x))].sort((a, b) => a - b);
  const [first, last] = [xs[0]!, xs.at(-1)!];
  const logarithmic = options.ticks === 'each' && first > 0 && last / first >= 6;
  const range: [number, number] = [left + (options.markers ? 12 : 0), width - right];
  const x = (logarithmic ? scaleLog() : scaleLinear())
    .domain([first, last === first ? first + 1 : last])
    .range(range);
  const lows = all.map(({ y, low }) => low ?? y);
  const highs = all.map(({ y, high }) => high ?? y);
  const y = scaleLinear().range([height - bottom, top]);
  if (options.top === undefined) y.domain([Math.min(0, ...lows), Math.max(...highs)]).nice(5);
  else
    y.domain([
      0,
      Math.min(
        options.top,
        scaleLinear()
          .domain([0, Math.max(...highs)])
          .nice(5)
          .domain()[1]!,
      ),
    ]);

  const parts: string[] = [];
  for (const tick of y.ticks(5)) {
    parts.push(line(left, y(tick), width - right, y(tick), 'class="grid"'));
    parts.push(label(left - 8, y(tick), String(tick), { anchor: 'end', size: SIZE, quiet: true }));
  }
  parts.push(label(2, 10 + legendHeight, options.yTitle, { size: SIZE, quiet: true }));
  parts.push(line(left, height - bottom, width - right, height - bottom, 'class="axis"'));
  let free = -Infinity;
  for (const tick of options.ticks === 'each' ? xs : x.ticks(narrow ? 4 : 7)) {
    const text = tick.toLocaleString('en-US');
    parts.push(line(x(tick), height - bottom, x(tick), height - bottom + 5, 'class="axis"'));
    if (x(tick) - textWidth(text, SIZE) / 2 < free) continue;
    parts.push(label(x(tick), height - bottom + 16, text, { anchor: 'middle', size: SIZE, quiet: true }));
    free = x(tick) + textWidth(text, SIZE) / 2 + 6;
  }
  const middle = (left + width - right) / 2;
  const axis = `${options.xTitle}${logarithmic ? ' (logarithmic)' : ''}`;
  parts.push(label(middle, height - 12, axis, { anchor: 'middle', size: SIZE, quiet: true }));

  parts.push(...bands(series, x, y), ...courses(series, x, y, options.markers));
  parts.push(...besides(series, x, y));
  if (!narrow) parts.push(...endLabels(series, x, y, width - right + 12, height - bottom));
  parts.push(...legend.flatMap(legendRow));
  return svg(width, height, parts);
}

type Scale = (value: number) => number;

/** Intervals, below the lines. */
function bands(series: readonly Series[], x: Scale, y: Scale): string[] {
  const parts: string[] = [];
  for (const [i, { points, foreign }] of series.entries()) {
    const banded = points.filter(({ low, high }) => low !== undefined && high !== undefined);
    const band = area<CurvePoint>(
      (p) => x(p.x),
      (p) => y(p.low!),
      (p) => y(p.high!),
    ).digits(1)(banded);
    if (!foreign && banded.length > 1)
      parts.push(`<path d="${band}" fill-opacity=".13" style="fill:${colour(i)}"/>`);
  }
  return parts;
}

/** The lines, and where each figure stands on them. */
function courses(series: readonly Series[], x: Scale, y: Scale, markers: boolean): string[] {
  const parts: string[] = [];
  for (const [i, { points, foreign }] of series.entries()) {
    const path = lineOf<CurvePoint>(
      (p) => x(p.x),
      (p) => y(p.y),
    ).digits(1)(points);
    const dash = foreign ? ' stroke-dasharray="6 4"' : i >= 8 ? ' stroke-dasharray="2 3"' : '';
    const thick = markers ? 2.2 : 1.6;
    parts.push(
      `<path d="${path}" fill="none" stroke-width="${thick}" stroke-linejoin="round"${dash} style="stroke:${colour(i)}"/>`,
    );
    if (!markers) continue;
    const mark = symbol(SHAPES[i % SHAPES.length], 46).digits(1)()!;
    for (const p of points) {
      parts.push(
        `<path d="${mark}" transform="translate(${px(x(p.x))} ${px(y(p.y))})" stroke-width="1.5" ` +
          `style="fill:${foreign ? 'var(--ground)' : colour(i)};stroke:${foreign ? colour(i) : 'var(--ground)'}"/>`,
      );
    }
  }
  return parts;
}

/** The lines beside others. */
function besides(series: readonly Series[], x: Scale, y: Scale): string[] {
  return series.flatMap(({ beside }, i) => {
    if (!beside) return [];
    const { points, chosen } = beside;
    const path = lineOf<CurvePoint>(
      (p) => x(p.x),
      (p) => y(p.y),
    ).digits(1)(points);
    const at = (p: CurvePoint, radius: number, style: string): string =>
      `<circle cx="${px(x(p.x))}" cy="${px(y(p.y))}" r="${radius}" style="${style}"/>`;
    return [
      `<path d="${path}" fill="none" stroke-width="1.6" stroke-dasharray="5 3" style="stroke:${colour(i)}"/>`,
      ...points.map((p) => at(p, 2.2, `fill:${colour(i)}`)),
      ...points
        .filter((p) => p.x === chosen)
        .map((p) => at(p, 6, `fill:none;stroke:${colour(i)};stroke-width:2`)),
    ];
  });
}

/** Names at the ends of their lines, moved apart where they would overlap. */
function endLabels(series: readonly Series[], x: Scale, y: Scale, at: number, floor: number): string[] {
  const step = 16;
  const wanted = series
    .map(({ name, points }, i) => ({ name, i, end: points.at(-1)! }))
    .map(({ name, i, end }) => ({ name, i, from: { x: x(end.x), y: y(end.y) }, place: y(end.y) }))
    .sort((a, b) => a.place - b.place);
  for (const [k, entry] of wanted.entries())
    if (k > 0) entry.place = Math.max(entry.place, wanted[k - 1]!.place + step);
  const excess = (wanted.at(-1)?.place ?? 0) - floor;
  if (excess > 0) {
    wanted.at(-1)!.place -= excess;
    for (let k = wanted.length - 2; k >= 0; k--)
      wanted[k]!.place = Math.min(wanted[k]!.place, wanted[k + 1]!.place - step);
  }
  return wanted.flatMap(({ name, i, from, place }) => [
    line(
      from.x + 6,
      from.y,
      at + 1,
      place,
      `stroke-width="1" stroke-opacity=".5" style="stroke:${colour(i)}"`,
    ),
    label(at + 4, place, name, { size: SIZE, fill: colour(i), bold: true }),
  ]);
}

interface LegendEntry {
  readonly name: string;
  readonly index: number;
  readonly at: number;
}

function legendRow(entries: readonly LegendEntry[], row: number): string[] {
  return entries.flatMap(({ name, at, index }) => [
    line(at, 8 + row * 19, at + 16, 8 + row * 19, `stroke-width="3" style="stroke:${colour(index)}"`),
    label(at + 22, 8 + row * 19, name, { size: SIZE }),
  ]);
}

function legendLines(names: readonly string[], width: number): LegendEntry[][] {
  const lines: LegendEntry[][] = [];
  let at = Infinity;
  for (const [index, full] of names.entries()) {
    const name = wrapped(full, width - 30, SIZE)[0]!.length < full.length ? `${full.slice(0, 40)}…` : full;
    const wide = 22 + textWidth(name, SIZE) + 14;
    if (at + wide > width && at > 0) {
      lines.push([]);
      at = 0;
    }
    lines.at(-1)!.push({ name, index, at });
    at += wide;
  }
  return lines;
}
