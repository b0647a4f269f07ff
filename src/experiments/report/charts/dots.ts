/** Figures with their intervals, a line each: methods or models beside one another, and the effect of a setting's values. */

import { scaleLinear } from 'd3-scale';
import { colour, label, line, px, svg, textWidth, wrapped } from './svg.js';

export interface Dot {
  readonly name: string;
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
  /** A figure from elsewhere, beside it. */
  readonly published?: number;
  /** Dots of one group have one colour; a new group stands apart. */
  readonly group: number;
}

const SIZE = 12.5;

/** @param xTitle the axis with its unit; @param fromZero whether the axis begins at 0 */
export function dotChart(dots: readonly Dot[], xTitle: string, fromZero: boolean, width: number): string {
  const narrow = width < 500;
  const room = narrow ? width - 8 : 300;
  const names = dots.map(({ name }) => wrapped(name, room, SIZE));
  const left = narrow
    ? 8
    : Math.min(room, Math.max(...names.flat().map((text) => textWidth(text, SIZE)))) + 16;
  const right = 56;
  const numbers = dots
    .flatMap(({ value, low, high, published }) => [value, low, high, published])
    .filter((v) => v !== undefined);
  const least = Math.min(...numbers);
  const x = scaleLinear()
    .domain([fromZero ? 0 : least, Math.max(...numbers)])
    .nice(5)
    .range([left + 4, width - right]);
  const parts: string[] = [];
  const rows: { y: number; dot: Dot }[] = [];
  let y = 10;
  for (const [i, dot] of dots.entries()) {
    if (i > 0 && dot.group !== dots[i - 1]!.group) y += 8;
    const lines = names[i]!;
    const high = narrow ? lines.length * 16 + 20 : Math.max(26, lines.length * 16 + 8);
    const middle = narrow ? y + lines.length * 16 + 6 : y + high / 2;
    for (const [k, text] of lines.entries()) {
      const at = narrow ? y + 8 + k * 16 : middle + (k - (lines.length - 1) / 2) * 16;
      parts.push(
        label(narrow ? left : left - 12, at, text, { size: SIZE, anchor: narrow ? 'start' : 'end' }),
      );
    }
    rows.push({ y: middle, dot });
    y += high;
  }
  const floor = y + 6;
  const grid = x
    .ticks(narrow ? 4 : 6)
    .flatMap((tick) => [
      line(x(tick), 6, x(tick), floor, 'class="grid"'),
      label(x(tick), floor + 12, String(tick), { anchor: 'middle', size: SIZE, quiet: true }),
    ]);
  for (const { y: at, dot } of rows) {
    const { value, low, high, published, group } = dot;
    const stroke = `style="stroke:${colour(group)}"`;
    if (low !== undefined && high !== undefined) {
      parts.push(line(x(low), at, x(high), at, `stroke-width="2" ${stroke}`));
      for (const end of [low, high])
        parts.push(line(x(end), at - 4, x(end), at + 4, `stroke-width="2" ${stroke}`));
    }
    parts.push(`<circle cx="${px(x(value))}" cy="${px(at)}" r="5" style="fill:${colour(group)}"/>`);
    if (published !== undefined) {
      const [cx, r] = [x(published), 5.5];
      parts.push(
        `<path d="M${px(cx - r)} ${px(at)}L${px(cx)} ${px(at - r)}L${px(cx + r)} ${px(at)}L${px(cx)} ${px(at + r)}Z" ` +
          'stroke-width="1.8" style="fill:var(--ground);stroke:var(--published-ink)"/>',
      );
    }
    const end = Math.max(x(value), x(high ?? value), x(published ?? value));
    parts.push(label(end + 9, at, value.toFixed(1), { size: SIZE, bold: true }));
  }
  const title = label((left + width - right) / 2, floor + 32, xTitle, {
    anchor: 'middle',
    size: SIZE,
    quiet: true,
  });
  return svg(width, floor + 44, [...grid, ...parts, title]);
}
