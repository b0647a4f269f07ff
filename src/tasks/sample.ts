/** From a row of data to a sample. */

import { UserError } from '../util/errors.js';
import { own } from '../util/own.js';
import { isLabel } from './labels.js';
import type { Task } from './types.js';
import type { DataRow, Sample } from './wording.js';

/**
 * Row number `row` (from 0) as a sample of `task`: its texts as they are, but for an answer that the task wants on one line. What is
 * checked is that the answer is one of the task's labels. Throws UserError.
 */
export function toSample(task: Task, cells: DataRow, row: number): Sample {
  const values = task.wording.values(cells);
  const written = task.wording.answer(values);
  const answer = task.flat ? onOneLine(written) : written;
  if (task.labels !== undefined && !isLabel(answer, task.labels)) {
    throw new UserError(
      `row ${row + 1}: its answer '${answer}' is none of the ${task.labels.length} labels (${someOf(task.labels)}); ` +
        `correct the row, or list every label under 'labels'`,
    );
  }
  return { row, values, answer };
}

/** The texts of a row that a prompt shows, without the template around them: what rows are compared by. */
export function textOf({ wording }: Task, { values }: Sample): string {
  return wording.compared(values);
}

/** A row's number as people say it, from 1: '5', or '5 of chats.jsonl' in a mixture. */
export function rowNumber({ row, source }: Pick<Sample, 'row' | 'source'>): string {
  return source ? `${row - source.first + 1} of ${source.name}` : String(row + 1);
}

/** Without white space around it, line breaks within it spaces. */
export function onOneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, ' ');
}

/** A cell as text; '' where there is none. Throws UserError for a cell that holds a list or an object. */
export function cellText(cells: DataRow, column: string): string {
  const cell = own(cells, column) ?? '';
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number' || typeof cell === 'boolean' || typeof cell === 'bigint') return String(cell);
  throw new UserError(`column '${column}' holds a ${Array.isArray(cell) ? 'list' : typeof cell}, not a text`);
}

function someOf(labels: readonly string[]): string {
  return labels.length <= 6 ? labels.join(', ') : `${labels.slice(0, 5).join(', ')}, …`;
}
