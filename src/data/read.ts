/** A table from a file of any of the formats that data sets come in. */
import { statSync } from 'node:fs';
import { extname } from 'node:path';
import { throwIfAborted } from '../util/abort.js';
import { checkOneOf } from '../util/checks.js';
import { environment } from '../util/environment.js';
import { UserError } from '../util/errors.js';
import type { List } from '../util/list.js';
import { own } from '../util/own.js';
import { readCsv, type CsvOptions } from './csv.js';
import { readJsonRows, readJsonLines } from './json.js';
import { openJsonLines } from './lines.js';
import { readParquet } from './parquet.js';
import type { Row } from './row.js';

const READERS = {
  csv: readCsv,
  tsv: (path, { delimiter = '\t', signal }) => readCsv(path, { delimiter, signal }),
  json: readJsonRows,
  jsonl: readJsonLines,
  parquet: readParquet,
} satisfies Readonly<Record<string, (path: string, options: CsvOptions) => Promise<Row[]>>>;

/** The formats of tables. */
export type TableFormat = keyof typeof READERS;
/** Their names, as a configuration has them. */
export const TABLE_FORMATS = Object.keys(READERS) as [TableFormat, ...TableFormat[]];

const EXTENSIONS: Readonly<Record<string, TableFormat>> = {
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.tab': 'tsv',
  '.json': 'json',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.parquet': 'parquet',
};

/** How a table’s file is read. */
export interface ReadOptions extends CsvOptions {
  /** The default goes by the file's extension. */
  readonly format?: TableFormat | undefined;
}

/** Bytes of a file whose rows are not held in memory: WESTWIND_STREAM_BYTES, else 64 MiB. */
function streamedFrom(): number {
  const given = Number(environment('WESTWIND_STREAM_BYTES') ?? Number.NaN);
  return given >= 0 ? given : 1 << 26;
}

/** Whether files are so large together that what is made of them is kept in files, too. */
export function areLarge(paths: readonly string[]): boolean {
  return (
    paths.reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0) >=
    streamedFrom()
  );
}

/** The same as `readTable`; rows of large JSON Lines are read as they are asked for. */
export async function openTable(path: string, options: ReadOptions = {}): Promise<List<Row>> {
  if (formatOf(path, options) !== 'jsonl' || !areLarge([path])) return readTable(path, options);
  const rows = (await openJsonLines(path, options)) ?? (await readTable(path, options));
  if (rows.length === 0) throw new UserError(`${path} has no rows`);
  return rows;
}

/**
 * All rows of a local file.
 * @throws UserError for a file that is missing, of an unknown format, faulty (with the place of the fault) or without rows; AbortError once
 *   `signal` is aborted
 */
export async function readTable(path: string, options: ReadOptions = {}): Promise<Row[]> {
  const format = formatOf(path, options);
  if (format === undefined) {
    throw new UserError(
      `${path}: its name does not tell the format; rename it to end in ${Object.keys(EXTENSIONS).join(', ')}, or name the format`,
    );
  }
  checkOneOf('format', format, Object.keys(READERS));
  if (options.delimiter !== undefined && format !== 'csv' && format !== 'tsv')
    throw new UserError(`${path}: a delimiter goes with CSV, and this is read as ${format}`);
  const rows = await READERS[format](path, options);
  throwIfAborted(options.signal);
  if (rows.length === 0) throw new UserError(`${path} has no rows`);
  return rows;
}

function formatOf(path: string, { format }: ReadOptions): TableFormat | undefined {
  return format ?? own(EXTENSIONS, extname(path).toLowerCase());
}
