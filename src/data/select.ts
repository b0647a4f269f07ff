/** The columns that a task needs, out of a table: by name and as text. */
import { UserError } from '../util/errors.js';
import { isLazy, Lazy, type List } from '../util/list.js';
import { nearest } from '../util/nearest.js';
import { atOnce } from '../util/turns.js';
import type { Row } from './row.js';

/** What a row must hold to be selected. */
export interface SelectOptions<K extends string> {
  /** Groups of which one column at least must hold more than white space; the default is each column by itself. */
  readonly filled?: readonly (readonly K[])[];
  /** May be missing from the whole table. */
  readonly optional?: readonly K[];
}

/** A row that was left out, and why. */
export interface DroppedRow {
  /** The row's number in the table, from 0. */
  readonly index: number;
  readonly column: string;
  readonly reason: 'missing' | 'empty';
}

/** The rows of a table that hold what a task needs, as text. */
export interface Selection<K extends string, Rows = Record<K, string>[]> {
  readonly rows: Rows;
  /** rows[i] is the table's row indices[i]. */
  readonly indices: number[];
  /** The rows left out, each with the first column (of the first group) that is to blame. */
  readonly dropped: DroppedRow[];
}

/**
 * Takes `columns` (from the name that the task uses to the table's) out of a table. Numbers and booleans become text; null and what is
 * absent are ''. Rows in which a column (or all of a group) that must be filled is blank are left out and reported.
 * @param source names the table in messages
 * @throws UserError for a column that no row has and that is not optional, or a value that is no text
 */
export function selectColumns<K extends string>(
  table: readonly Row[],
  columns: Readonly<Record<K, string>>,
  source: string,
  options?: SelectOptions<NoInfer<K>>,
): Selection<K>;
/** Rows of a table that is read as it is asked for are so, too. */
export function selectColumns<K extends string>(
  table: List<Row>,
  columns: Readonly<Record<K, string>>,
  source: string,
  options?: SelectOptions<NoInfer<K>>,
): Selection<K, List<Record<K, string>>>;
export function selectColumns<K extends string>(
  table: List<Row>,
  columns: Readonly<Record<K, string>>,
  source: string,
  options?: SelectOptions<NoInfer<K>>,
): Selection<K, List<Record<K, string>>> {
  return atOnce(columnsSelected(table, columns, source, options));
}

/** The same in pieces, for `inTurns`. */
export function* columnsSelected<K extends string>(
  table: List<Row>,
  columns: Readonly<Record<K, string>>,
  source: string,
  { filled, optional = [] }: SelectOptions<NoInfer<K>> = {},
): Generator<void, Selection<K, List<Record<K, string>>>, void> {
  const wanted = Object.entries<string>(columns) as [K, string][];
  const groups = filled ?? wanted.map(([name]) => [name]);
  checkColumns(
    table,
    wanted.flatMap(([name, column]) => (optional.includes(name) ? [] : [column])),
    source,
  );
  const cellsOf = (row: Row, index: number): Map<K, string | undefined> =>
    new Map(wanted.map(([name, column]) => [name, textOf(row, column, index, source)]));
  const textsOf = (given: Map<K, string | undefined>): Record<K, string> =>
    Object.fromEntries(wanted.map(([name]) => [name, given.get(name) ?? ''])) as Record<K, string>;
  const [rows, indices, dropped]: [Record<K, string>[], number[], DroppedRow[]] = [[], [], []];
  let index = -1;
  for (const row of table) {
    if (++index % 64 === 63) yield;
    const given = cellsOf(row, index);
    const blank = groups.find((group) => group.every((name) => (given.get(name) ?? '').trim() === ''));
    if (blank) {
      const [name] = blank as [K];
      const reason = given.get(name) === undefined ? 'missing' : 'empty';
      dropped.push({ index, column: columns[name], reason });
      continue;
    }
    if (!isLazy(table)) rows.push(textsOf(given));
    indices.push(index);
  }
  const again = (i: number): Record<K, string> => textsOf(cellsOf(table.at(indices[i]!)!, indices[i]!));
  return { rows: isLazy(table) ? new Lazy(indices.length, again) : rows, indices, dropped };
}

const LISTED_COLUMNS = 30;

/** The columns that a table's rows have: all, or some among which those that are wanted are. */
export function columnsOf(table: List<Row>, wanted: readonly string[]): ReadonlySet<string> {
  const present = new Set<string>();
  for (const row of table) {
    for (const column of Object.keys(row)) present.add(column);
    if (wanted.every((column) => present.has(column))) break;
  }
  return present;
}

export function checkColumns(table: List<Row>, wanted: readonly string[], source: string): void {
  const present = columnsOf(table, wanted);
  for (const column of wanted) {
    if (present.has(column)) continue;
    const names = [...present];
    const listed = names.slice(0, LISTED_COLUMNS).join(', ') + (names.length > LISTED_COLUMNS ? ', …' : '');
    const near = nearest(column, names);
    const hint = near === undefined ? '; it has' : `; did you mean ${JSON.stringify(near)}? It has`;
    throw new UserError(
      `${source} has no column ${JSON.stringify(column)}` +
        (names.length > 0 ? `${hint} ${listed}` : ': it has no rows'),
    );
  }
}

/** Undefined for null and for an absent value. */
function textOf(row: Row, column: string, index: number, source: string): string | undefined {
  const value = Object.hasOwn(row, column) ? row[column] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new UserError(
    `${source}: row ${index + 1} holds ${Array.isArray(value) ? 'a list' : 'an object'} in the column ${JSON.stringify(column)}, where a ` +
      'text is needed',
  );
}
