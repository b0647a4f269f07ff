/** Tables as CSV (RFC 4180, with plain line ends), and the one layout that all figures have there. */

export type CsvCell = string | number | undefined;

/** A cell is quoted where it holds a comma, a quote, a line break or white space at an end. */
export function toCsv(heads: readonly string[], rows: readonly (readonly CsvCell[])[]): string {
  const cell = (value: CsvCell): string => {
    const text = value === undefined ? '' : String(value);
    return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [heads, ...rows].map((row) => row.map(cell).join(',') + '\n').join('');
}

/** A figure with six digits: more than any table shows, fewer than would differ between processors. */
export function csvFigure(value: number | undefined): string | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : value.toFixed(6);
}
