/** A table from a file of any of the formats that data sets come in. */
import { extname } from 'node:path';
import { UserError } from '../util/errors.js';
import { readCsv } from './csv.js';
import { readJson, readJsonLines } from './json.js';
import { readParquet } from './parquet.js';

/** One row by column name. The values are JSON's: strings only from CSV. */
export type Row = Record<string, unknown>;

export type TableFormat = 'csv' | 'json' | 'jsonl' | 'parquet';

const READERS: Readonly<Record<TableFormat, (path: string) => Promise<Row[]>>> = {
  csv: readCsv,
  json: readJson,
  jsonl: readJsonLines,
  parquet: readParquet,
};

const EXTENSIONS: Readonly<Record<string, TableFormat>> = {
  '.csv': 'csv',
  '.json': 'json',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.parquet': 'parquet',
};

export interface ReadOptions {
  /** The default goes by the file's extension. */
  readonly format?: TableFormat | undefined;
}

/**
 * All rows of a local file.
 * @throws UserError for a file that is missing, of an unknown format, faulty (with the place of the fault) or without rows
 */
export async function readTable(path: string, options: ReadOptions = {}): Promise<Row[]> {
  const format = options.format ?? EXTENSIONS[extname(path).toLowerCase()];
  if (format === undefined) {
    throw new UserError(
      `${path}: its name does not tell the format; rename it to end in ${Object.keys(EXTENSIONS).join(', ')}, or name the format`,
    );
  }
  const rows = await READERS[format](path);
  if (rows.length === 0) throw new UserError(`${path} has no rows`);
  return rows;
}
