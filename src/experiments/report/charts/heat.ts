/** Figures by two settings as shaded cells, in small multiples over a third; and a confusion matrix. */

import { fittedNames, label, px, svg, textWidth } from './svg.js';

export interface HeatPanel {
  /** '' where there is only one. */
  readonly title: string;
  /** cells[y][x]; undefined: there is no such run. */
  readonly cells: readonly (readonly (number | undefined)[])[];
}

export interface HeatOptions {
  readonly xTitle: string;
  readonly yTitle: string;
  readonly xNames: readonly string[];
  readonly yNames: readonly string[];
  readonly show: (value: number) => string;
  /** Shades run from the first to the second. */
  readonly domain: readonly [number, number];
  /** Square cells, names of columns upright: a confusion matrix. */
  readonly square?: boolean;
}

const SIZE = 12;
const LEAST_LETTER = 9;

export function heatMaps(panels: readonly HeatPanel[], options: HeatOptions, width: number): string {
  const { xNames, yNames, square } = options;
  const narrow = width < 500;
  const namesRoom = Math.min(
    narrow ? 90 : 170,
    Math.max(...yNames.map((name) => textWidth(name, SIZE))) + 10,
  );
  const left = 20 + namesRoom;
  const upright = square === true && Math.max(...xNames.map((name) => textWidth(name, SIZE))) > 30;
  const bottom = upright
    ? Math.min(narrow ? 124 : 200, Math.max(...xNames.map((name) => textWidth(name, SIZE))) + 40)
    : 44;
  const top = panels.some(({ title }) => title !== '') ? 28 : 8;
  const least = square ? 12 : 44;
  const perRow = Math.max(
    1,
    Math.min(panels.length, Math.floor(width / (left + xNames.length * least + 12))),
  );
  const cellWidth = Math.min(square ? 34 : 84, (width / perRow - left - 12) / xNames.length);
  const cellHeight = square ? cellWidth : 34;
  const panelWidth = left + xNames.length * cellWidth + 12;
  const panelHeight = top + yNames.length * cellHeight + bottom;
  // Smaller letters are not read.
  if (square && cellWidth < LEAST_LETTER) {
    const text = `${xNames.length} labels have no room at this width: see the wider picture, or the table.`;
    return svg(width, 40, [label(4, 20, text, { size: SIZE, quiet: true })]);
  }
  const parts = panels.map((panel, i) => {
    const [x0, y0] = [(i % perRow) * panelWidth, Math.floor(i / perRow) * (panelHeight + 8)];
    return drawPanel(panel, options, {
      x0: x0 + left,
      y0: y0 + top,
      cellWidth,
      cellHeight,
      namesRoom,
      upright,
      bottom,
    });
  });
  const rows = Math.ceil(panels.length / perRow);
  return svg(width, rows * (panelHeight + 8), parts);
}

interface Layout {
  readonly x0: number;
  readonly y0: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  readonly namesRoom: number;
  readonly upright: boolean;
  readonly bottom: number;
}

function drawPanel({ title, cells }: HeatPanel, options: HeatOptions, layout: Layout): string {
  const { xNames, yNames, xTitle, yTitle, show, domain } = options;
  const { x0, y0, cellWidth, cellHeight, namesRoom, upright, bottom } = layout;
  const parts: string[] = [];
  const [wide, high] = [xNames.length * cellWidth, yNames.length * cellHeight];
  if (title !== '') parts.push(label(x0, y0 - 14, title, { size: 13, bold: true }));
  for (const [row, name] of fittedNames(yNames, namesRoom - 10, SIZE).entries()) {
    const middle = y0 + (row + 0.5) * cellHeight;
    parts.push(
      label(x0 - 7, middle, name, {
        anchor: 'end',
        size: Math.min(SIZE, cellHeight),
      }),
    );
    for (const [column, value] of (cells[row] ?? []).entries()) {
      const x = x0 + column * cellWidth;
      const y = y0 + row * cellHeight;
      const box = `x="${px(x + 0.75)}" y="${px(y + 0.75)}" width="${px(cellWidth - 1.5)}" height="${px(cellHeight - 1.5)}" rx="2"`;
      if (value === undefined) {
        parts.push(`<rect ${box} fill="none" stroke-dasharray="3 3" class="grid"/>`);
        continue;
      }
      const share = domain[1] > domain[0] ? (value - domain[0]) / (domain[1] - domain[0]) : 0.5;
      const opacity = value === 0 && options.square ? 0.03 : 0.08 + 0.92 * Math.min(1, Math.max(0, share));
      parts.push(`<rect ${box} style="fill:var(--heat);fill-opacity:${opacity.toFixed(2)}"/>`);
      const text = show(value);
      if (text === '' || textWidth(text, 11) > cellWidth + 2) continue;
      const fill = opacity > 0.55 ? 'var(--on-heat)' : 'var(--off-heat)';
      parts.push(
        label(x + cellWidth / 2, y + cellHeight / 2, text, {
          anchor: 'middle',
          size: Math.min(SIZE, cellWidth * 0.5),
          fill,
        }),
      );
    }
  }
  const columnNames = fittedNames(xNames, upright ? bottom - 40 : cellWidth + 6, SIZE);
  for (const [column, name] of columnNames.entries()) {
    const x = x0 + (column + 0.5) * cellWidth;
    parts.push(
      upright
        ? label(x, y0 + high + 8, name, {
            anchor: 'end',
            size: Math.min(SIZE, cellWidth),
            rotate: -90,
          })
        : label(x, y0 + high + 13, name, { anchor: 'middle', size: SIZE }),
    );
  }
  parts.push(
    label(x0 + wide / 2, y0 + high + bottom - 14, xTitle, { anchor: 'middle', size: SIZE, quiet: true }),
  );
  parts.push(
    label(x0 - namesRoom - 12, y0 + high / 2, yTitle, {
      anchor: 'middle',
      size: SIZE,
      quiet: true,
      rotate: -90,
    }),
  );
  return parts.join('');
}
