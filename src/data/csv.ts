/** Rows from CSV (RFC 4180: quoted fields may hold commas, quotes and line breaks), the first line naming the columns. */
import { CsvError, parse } from 'csv-parse/sync';
import { UserError } from '../util/errors.js';
import type { Row } from './read.js';
import { readText } from './text.js';

/** Every value is a string. Throws UserError with the line of the first fault. */
export async function readCsv(path: string): Promise<Row[]> {
  const text = await readText(path);
  try {
    return parse<Row>(text, {
      columns: (header: string[]) => uniqueColumns(header, path),
      record_delimiter: ['\r\n', '\n'],
      skip_empty_lines: true,
    });
  } catch (error) {
    if (error instanceof CsvError) throw new UserError(`${path}: ${faultOf(error)}`);
    throw error;
  }
}

function uniqueColumns(header: readonly string[], path: string): string[] {
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new UserError(`${path}: the first line names the column ${JSON.stringify(twice)} twice`);
  }
  return [...header];
}

function faultOf(error: CsvError): string {
  const line = `line ${String(error['lines'])}`;
  switch (error.code) {
    case 'CSV_RECORD_INCONSISTENT_COLUMNS':
      return `${line} ends a row of ${lengthOf(error['record'])} fields, but the first line names ${lengthOf(error['columns'])} columns`;
    case 'CSV_QUOTE_NOT_CLOSED':
      return `the quote that is opened behind ${String(error['records'])} rows of data is never closed`;
    case 'CSV_INVALID_CLOSING_QUOTE':
      return `${line}: after the quote that closes a field comes neither a comma nor the line's end; a quote inside a quoted field is written ""`;
    case 'INVALID_OPENING_QUOTE':
      return `${line}: a quote stands inside a field that does not begin with one; quote the whole field and write ""`;
    default:
      return `${line}: ${error.message}`;
  }
}

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}
