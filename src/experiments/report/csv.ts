/** Tables as CSV (RFC 4180, with plain line ends), and the one layout that all figures have there. */

import { visibleLines } from '../../util/visible.js';

export type CsvCell = string | number | undefined;

/**
 * What a spreadsheet would compute (CSV injection, OWASP): a text from a run that begins like a formula, and is no number, gets an
 * apostrophe before it, which spreadsheets take as the mark of a text.
 */
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/;
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** A cell is quoted where it holds a comma, a quote, a line break or white space at an end. */
export function toCsv(heads: readonly string[], rows: readonly (readonly CsvCell[])[]): string {
  const cell = (value: CsvCell): string => {
    const given = value === undefined ? '' : visibleLines(String(value));
    const text = FORMULA.test(given) && !NUMBER.test(given) ? `'${given}` : given;
    return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [heads, ...rows].map((row) => row.map(cell).join(',') + '\n').join('');
}

/** A figure with six digits: more than any table shows, fewer than would differ between processors. */
export function csvFigure(value: number | undefined): string | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : value.toFixed(6);
}
