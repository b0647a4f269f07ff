/** What a form of chats is, and how forms read the cells of a row. */
import { UserError } from '../../util/errors.js';
import { isObject, type TextMessage } from './conversation.js';

/** The columns that forms read, each with what it is for. */
export const CHAT_COLUMNS = {
  messages: 'The column of the messages (openai).',
  conversations: 'The column of the turns (sharegpt).',
  prompt: 'The column of the prompt (prompt_completion).',
  completion: 'The column of the completion (prompt_completion).',
  instruction: 'The column of the instruction (alpaca).',
  input: 'The column of what the instruction is about (alpaca).',
  output: 'The column of the answer (alpaca).',
  history: 'The column of earlier pairs of instruction and answer (alpaca).',
  system: 'The column of a system message (sharegpt, alpaca).',
  tools: 'The column of the tools that may be called, a list or a list written as JSON.',
} as const;

export type ChatColumn = keyof typeof CHAT_COLUMNS;

/** A row's cells, by the task's names for the columns. */
export type ChatCells = Readonly<Partial<Record<ChatColumn, unknown>>>;

/** A way in which data sets hold chats. */
export interface ChatForm {
  /** What it is, in words. */
  readonly about: string;
  /** Columns that a table of it has: by these it is recognised. */
  readonly needed: readonly ChatColumn[];
  /** Columns that it may have. */
  readonly optional: readonly ChatColumn[];
  /** A row's messages. Throws UserError that says what is wrong with them, without the row. */
  messages(cells: ChatCells): TextMessage[];
}

/** A cell that holds a list: as it is, or written as JSON. What is empty is undefined. */
export function listIn(cells: ChatCells, column: ChatColumn): unknown[] | undefined {
  const cell = cells[column];
  if (cell === undefined || cell === null || cell === '') return undefined;
  const value = typeof cell === 'string' ? parsed(cell) : withoutNulls(cell);
  if (Array.isArray(value)) return value as unknown[];
  throw new UserError(
    `its ${column} are no list${typeof cell === 'string' ? ', nor one written as JSON' : ''}`,
  );
}

/** A cell that holds text; '' where it is empty. */
export function textIn(cells: ChatCells, column: ChatColumn): string {
  const cell = cells[column] ?? '';
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number' || typeof cell === 'boolean') return String(cell);
  throw new UserError(
    `its ${column} is ${Array.isArray(cell) ? 'a list' : 'an object'}, where a text is needed`,
  );
}

/** A system message where the column has one. */
export function systemIn(cells: ChatCells): TextMessage[] {
  const content = textIn(cells, 'system');
  return content.trim() === '' ? [] : [{ role: 'system', content }];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * Tables of one type for all rows have null wherever another row has a key: those keys are as good as missing. (datasets and TRL hold
 * it so, too.)
 */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return (value as unknown[]).map(withoutNulls);
  if (!isObject(value)) return value;
  const there = Object.entries(value).filter(([, part]) => part !== null && part !== undefined);
  return Object.fromEntries(there.map(([key, part]) => [key, withoutNulls(part)]));
}
