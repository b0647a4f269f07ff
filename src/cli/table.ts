/** Tables as wide as the screen: as Markdown where that fits, else with cells on several lines, and columns that have no room below. */

import { markdownTable } from '../experiments/store/results.js';
import { columnsOf, oneLine } from '../util/visible.js';
import { screenColumns } from './output.js';

type Row = readonly string[];

const GAP = 2;
/** A longer word is broken, unless it is an interval. */
const LONGEST_WORD = 14;

/** `columns`: of the screen; undefined: as many as it takes. */
export function tableText(
  heads: Row,
  rows: readonly Row[],
  columns: number | undefined = screenColumns(),
): string {
  const markdown = markdownTable(heads, rows);
  if (columns === undefined || columnsOf(markdown.slice(0, markdown.indexOf('\n'))) <= columns)
    return markdown;
  const cells = [heads, ...rows].map((row) => row.map(oneLine));
  const sizes = heads.map((_, i) => sizeOf(cells.map((row) => row[i]!)));
  return columnGroups(sizes, columns)
    .map((group) =>
      block(
        cells,
        group,
        widthsOf(
          group.map((i) => sizes[i]!),
          columns,
        ),
      ),
    )
    .join('\n\n');
}

interface Size {
  /** The longest word. */
  readonly least: number;
  readonly most: number;
}

function sizeOf(cells: Row): Size {
  const most = Math.max(2, ...cells.map(columnsOf));
  const least = cells
    .flatMap(wordsOf)
    .map((word) => (word.startsWith('[') ? columnsOf(word) : Math.min(columnsOf(word), LONGEST_WORD)));
  return { least: Math.max(2, ...least), most };
}

/** An interval is one word. */
function wordsOf(cell: string): string[] {
  return cell.match(/\[[^\][]{1,30}\]|\S+/g) ?? [];
}

/** The columns' numbers, as many side by side as there is room for; the first one stands before each of the groups. */
function columnGroups(sizes: readonly Size[], columns: number): number[][] {
  const groups: number[][] = [[0]];
  for (let i = 1; i < sizes.length; i++) {
    const group = groups.at(-1)!;
    const room = columns - group.reduce((n, j) => n + sizes[j]!.least + GAP, 0);
    if (sizes[i]!.least <= room || group.length === 1) group.push(i);
    else groups.push([0, i]);
  }
  return groups;
}

/** What is left beyond the least is given to those that lack most. */
function widthsOf(sizes: readonly Size[], columns: number): number[] {
  const widths = sizes.map(({ least }) => least);
  let spare = columns - widths.reduce((n, w) => n + w, 0) - GAP * (sizes.length - 1);
  while (spare > 0) {
    const lack = sizes.map(({ most }, i) => (widths[i]! < most ? most / widths[i]! : 0));
    const i = lack.indexOf(Math.max(...lack));
    if (lack[i] === 0) break;
    widths[i]!++;
    spare--;
  }
  return widths;
}

function block(cells: readonly Row[], group: readonly number[], widths: readonly number[]): string {
  const rightly = group.map((i) => i > 0 && cells.slice(1).every((row) => /^$|^[-+−–.<≥≤[\d]/.test(row[i]!)));
  const line = (parts: Row): string =>
    parts
      .map((part, i) => {
        const space = ' '.repeat(Math.max(0, widths[i]! - columnsOf(part)));
        return rightly[i] ? space + part : part + space;
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  const lines = cells.map((row) => {
    const wrapped = group.map((i, n) => wrap(row[i]!, widths[n]!));
    const height = Math.max(...wrapped.map((parts) => parts.length));
    return Array.from({ length: height }, (_, k) => line(wrapped.map((parts) => parts[k] ?? ''))).join('\n');
  });
  return [lines[0]!, line(widths.map((w) => '-'.repeat(w))), ...lines.slice(1)].join('\n');
}

/** The lines of a cell. */
function wrap(cell: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of wordsOf(cell).flatMap((word) => broken(word, width))) {
    if (line !== '' && columnsOf(line) + 1 + columnsOf(word) > width) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** A word that is too long, in pieces. */
function broken(word: string, width: number): string[] {
  if (columnsOf(word) <= width) return [word];
  const pieces: string[] = [];
  let piece = '';
  for (const c of word) {
    if (piece !== '' && columnsOf(piece + c) > width) {
      pieces.push(piece);
      piece = '';
    }
    piece += c;
  }
  return [...pieces, piece];
}
