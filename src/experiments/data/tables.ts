/** The rows of a task's sources, as their files have them. */

import type { ReadOptions, Row } from '../../data/index.js';
import { openTable } from '../../data/read.js';
import { resolveDataset } from '../../files/index.js';
import type { DataRow, Sample, TaskRows } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { joinedLists, type List } from '../../util/list.js';
import { own } from '../../util/own.js';
import { stampAt } from '../../util/places.js';
import { abortable } from '../../util/turns.js';
import type { ResolvedSource } from '../config/index.js';
import type { From, MixedSource } from '../config/settings/rows.js';

/** The rows of one file or data set that hold what a task needs. */
export interface Table {
  readonly source: ResolvedSource<From>;
  /** Of a mixture's: its name there, and what the number of its first row is. */
  readonly mixed?: NonNullable<Sample['source']>;
  readonly rows: List<DataRow>;
  /** rows[i] is the source's row indices[i]. */
  readonly indices: readonly number[];
  readonly files: readonly string[];
  /** What the files were before they were read. */
  readonly stamps: readonly string[];
}

/** Those that it is made of: itself, but for a mixture. */
function sourcesOf(source: ResolvedSource): readonly (ResolvedSource<From> | MixedSource)[] {
  const { from, ...rest } = source;
  return 'mixture' in from ? from.mixture : [{ ...rest, from }];
}

/** The local files of a source. */
export async function sourceFiles(from: From, signal?: AbortSignal): Promise<string[]> {
  if ('path' in from) return [from.path];
  const { hub, ...options } = from;
  const splits = await resolveDataset(hub, { ...options, ...(signal && { signal }) });
  const files = own(splits, from.split);
  if (!files)
    throw new UserError(`${hub} has no split '${from.split}'; it has ${Object.keys(splits).join(', ')}`);
  return files;
}

/** @param tell is told what a person should know of the rows */
export async function readTables(
  source: ResolvedSource | undefined,
  takes: TaskRows,
  tell: (notice: string) => void,
  signal?: AbortSignal,
): Promise<Table[]> {
  const tables: Table[] = [];
  let first = 0;
  for (const one of source ? sourcesOf(source) : []) {
    const { total, ...table } = await readSource(one, takes, tell, signal);
    tables.push('name' in one ? { ...table, mixed: { name: one.name, first } } : table);
    first += total;
  }
  return tables;
}

async function readSource(
  source: ResolvedSource<From>,
  takes: TaskRows,
  tell: (notice: string) => void,
  signal: AbortSignal | undefined,
): Promise<Table & { readonly total: number }> {
  const files = await sourceFiles(source.from, signal);
  const stamps = files.map(stampAt);
  const { format, delimiter }: ReadOptions = 'path' in source.from ? source.from : { format: 'parquet' };
  const tables: List<Row>[] = [];
  // One after the other: a Parquet file is decoded in a process of its own.
  for (const file of files) tables.push(await openTable(file, { format, delimiter, signal }));
  const table = joinedLists(tables);
  const where = nameOf(source);
  const { rows, indices, notices } = await abortable(signal, takes.select(table, source.columns, where));
  notices.forEach(tell);
  return { source, rows, indices, files, stamps, total: table.length };
}

/** Puts the source's name before what is wrong with its rows. */
export function locate<R>(source: ResolvedSource | undefined, work: () => R): R {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError) || source === undefined) throw error;
    throw new UserError(`${nameOf(source)}: ${error.message}`);
  }
}

function nameOf({ from }: ResolvedSource): string {
  if ('mixture' in from) return from.mixture.map(({ name }) => name).join(' + ');
  return 'path' in from ? from.path : from.hub;
}
