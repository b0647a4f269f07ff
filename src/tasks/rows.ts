/** How a task's rows are taken from a table: its columns, as texts. Chats have a way of their own (chat-rows.ts). */

import { basename } from 'node:path';
import type { Row } from '../data/index.js';
import { columnsSelected } from '../data/select.js';
import { UserError } from '../util/errors.js';
import type { List } from '../util/list.js';
import type { DataRow } from './wording.js';

/** The columns of a task, by the names that its templates have. */
export interface TaskColumns {
  readonly inputs: readonly string[];
  readonly answers: readonly string[];
  /** Groups of which one column at least must not be empty: else there is nothing to learn in a row. */
  readonly filled: readonly (readonly string[])[];
  /** May be missing from the table. */
  readonly optional: readonly string[];
}

/** From the task's names for columns to the table's. */
export type ColumnNames = Readonly<Record<string, string>>;

/** What a task takes of a table. */
export interface SelectedRows {
  readonly rows: List<DataRow>;
  /** rows[i] is the table's row indices[i]. */
  readonly indices: readonly number[];
  /** What a person should know: rows left out, and why. */
  readonly notices: readonly string[];
}

/** A way to take a task's rows. */
export interface TaskRows {
  /**
   * In pieces, for `inTurns`. Throws UserError, which names `source`, for a table without the task's columns or without a row that has them.
   */
  select(table: List<Row>, columns: ColumnNames, source: string): Generator<void, SelectedRows, void>;
  /** A row's text to tell it by, without its answer. */
  shown(row: DataRow): string;
}

/** Columns as texts. */
export function textRows({ inputs, answers, filled, optional }: TaskColumns): TaskRows {
  const roles = [...inputs, ...answers];
  return {
    *select(table, names, source) {
      const columns = Object.fromEntries(roles.map((role) => [role, names[role]!]));
      const { rows, indices, dropped } = yield* columnsSelected(table, columns, source, {
        filled,
        optional,
      });
      if (rows.length === 0)
        throw new UserError(
          `${source}: not one of its ${table.length} rows has ${namesOf(columns, filled.flat())} filled in`,
        );
      const notices: string[] = [];
      if (dropped.length > 0) {
        const lacking = [...new Set(dropped.map((d) => d.column))].join(', ');
        notices.push(
          leftOutNotice(
            source,
            table.length,
            dropped.map((d) => d.index),
            `${lacking} is empty`,
          ),
        );
      }
      // What must be filled is.
      const may = inputs.filter(
        (name) =>
          !optional.includes(name) && !filled.some((group) => group.length === 1 && group[0] === name),
      );
      const blank = new Map(may.map((role) => [role, 0]));
      let seen = 0;
      if (blank.size > 0)
        for (const row of rows) {
          if (++seen % 64 === 0) yield;
          for (const [role, count] of blank) if (row[role]!.trim() === '') blank.set(role, count + 1);
        }
      for (const [role, count] of blank)
        if (count > 0)
          notices.push(
            `${basename(source)}: ${columns[role]!} is empty in ${count} of ${rows.length} rows, which are taken so; ` +
              `{${role}?} in the template says that it may be`,
          );
      return { rows, indices, notices };
    },
    shown: (row) =>
      inputs
        .map((role) => (inputs.length > 1 ? `${role}: ${String(row[role])}` : String(row[role])))
        .join('; '),
  };
}

function namesOf(columns: ColumnNames, roles: readonly string[]): string {
  return [...new Set(roles)].map((role) => columns[role]!).join(' and ');
}

/** Of rows that are left out: how many, why, and the numbers of the first. `indices`: from 0. */
export function leftOutNotice(
  source: string,
  total: number,
  indices: readonly number[],
  why: string,
): string {
  const first = indices.slice(0, 5).map((index) => index + 1);
  return (
    `${basename(source)}: ${indices.length} of ${total} rows left out because ${why} ` +
    `(row${indices.length > 1 ? 's' : ''} ${first.join(', ')}${indices.length > 5 ? ', …' : ''})`
  );
}
