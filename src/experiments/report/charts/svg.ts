/** What all charts share: texts, numbers, colours. Colours are the page's (style.ts), so that a chart is light or dark with it. */

import { columnsOf, oneLine } from '../../../util/visible.js';
import { escapeText } from '../escape.js';

const FONT = 13;
/** A generous mean width of a letter at 1 px: texts are laid out without a browser that could measure them. */
const LETTER = 0.56;

export function textWidth(text: string, size = FONT): number {
  return columnsOf(text) * LETTER * size;
}

/** Tenths of a pixel are enough, and the same everywhere. */
export function px(x: number): string {
  return String(Math.round(x * 10) / 10);
}

export interface TextOptions {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly fill?: string;
  readonly quiet?: boolean;
  readonly bold?: boolean;
  readonly rotate?: number;
}

/** Text whose middle line is at y. */
export function label(x: number, y: number, content: string, options: TextOptions = {}): string {
  const { anchor = 'start', size = FONT, fill, quiet, bold, rotate } = options;
  const style = fill === undefined ? '' : ` style="fill:${fill}"`;
  const turned = rotate === undefined ? '' : ` transform="rotate(${rotate} ${px(x)} ${px(y)})"`;
  return (
    `<text x="${px(x)}" y="${px(y)}" dy=".35em" font-size="${size}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}` +
    `${quiet ? ' class="quiet"' : ''}${bold ? ' font-weight="600"' : ''}${style}${turned}>${escapeText(content)}</text>`
  );
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" ${attributes}/>`;
}

export function svg(width: number, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${px(width)} ${px(height)}">${parts.join('')}</svg>`;
}

const COLOURS = 8;
export const colour = (series: number): string => `var(--c${series % COLOURS})`;

/** A text cut to a width, with an ellipsis where something is missing. */
function fitted(text: string, width: number, size = FONT): string {
  const letters = Array.from(oneLine(text));
  while (letters.length > 1 && textWidth(`${letters.join('')}…`, size) > width) letters.pop();
  return textWidth(text, size) <= width ? oneLine(text) : `${letters.join('')}…`;
}

/** Names cut to a width so that they stay apart: at their ends where that tells them apart, else in the middle, else by their numbers. */
export function fittedNames(names: readonly string[], width: number, size = FONT): string[] {
  const repeated = (of: readonly string[], i: number): boolean =>
    of.some((other, j) => j !== i && other === of[i]);
  const atEnd = names.map((name) => fitted(name, width, size));
  const inMiddle = atEnd.map((cut, i) => (repeated(atEnd, i) ? middleCut(names[i]!, width, size) : cut));
  return inMiddle.map((cut, i) =>
    repeated(inMiddle, i) ? fitted(`${i + 1} ${names[i]!}`, width, size) : cut,
  );
}

function middleCut(text: string, width: number, size: number): string {
  const letters = Array.from(oneLine(text));
  while (letters.length > 2 && textWidth(`${letters.join('')}…`, size) > width)
    letters.splice(letters.length >> 1, 1);
  const half = letters.length >> 1;
  return `${letters.slice(0, half).join('')}…${letters.slice(half).join('')}`;
}

/** A text in lines of at most `width`, broken between words. */
export function wrapped(text: string, width: number, size = FONT): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && textWidth(`${last} ${word}`, size) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(fitted(word, width, size));
  }
  return lines;
}
