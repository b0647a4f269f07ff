/** The columns that a task needs, out of a table: by name, as text, and complete. */
import { UserError } from '../util/errors.js';
import { nearest } from '../util/nearest.js';
import type { Row } from './read.js';

export interface DroppedRow {
  /** The row's number in the table, from 0. */
  readonly index: number;
  readonly column: string;
  readonly reason: 'missing' | 'empty';
}

export interface Selection<K extends string> {
  readonly rows: Record<K, string>[];
  /** rows[i] is the table's row indices[i]. */
  readonly indices: number[];
  /** The rows left out, each with the first column that is to blame. */
  readonly dropped: DroppedRow[];
}

/**
 * Takes `columns` (from the name that the task uses to the table's) out of a table. Numbers and booleans become text. Rows in which one
 * of them is null, absent or only white space are left out and reported.
 * @param source names the table in messages
 * @throws UserError for a column that no row has, or a value that is no text
 */
export function selectColumns<K extends string>(
  table: readonly Row[],
  columns: Readonly<Record<K, string>>,
  source: string,
): Selection<K> {
  const wanted = Object.entries<string>(columns) as [K, string][];
  checkColumns(
    table,
    wanted.map(([, column]) => column),
    source,
  );
  const selection: Selection<K> = { rows: [], indices: [], dropped: [] };
  for (const [index, row] of table.entries()) {
    const texts = wanted.map(([name, column]) => [name, column, textOf(row, column, index, source)] as const);
    const fault = texts.find(([, , text]) => text === undefined || text.trim() === '');
    if (fault) {
      const [, column, text] = fault;
      selection.dropped.push({ index, column, reason: text === undefined ? 'missing' : 'empty' });
      continue;
    }
    selection.rows.push(Object.fromEntries(texts.map(([name, , text]) => [name, text])) as Record<K, string>);
    selection.indices.push(index);
  }
  return selection;
}

const LISTED_COLUMNS = 30;

function checkColumns(table: readonly Row[], wanted: readonly string[], source: string): void {
  const present = new Set(table.flatMap((row) => Object.keys(row)));
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
