/** Rows from JSON (a list of objects, {"data": [...]}, or lists by column name) and from JSON Lines. */
import { UserError } from '../util/errors.js';
import { findJsonFault } from './json-fault.js';
import type { Row } from './row.js';
import { readText, type ReadingOptions } from './text.js';

/** Throws UserError with the position of the first fault, or for a shape that holds no rows. */
export async function readJsonRows(path: string, options?: ReadingOptions): Promise<Row[]> {
  const text = await readText(path, options);
  const value = tryParse(text);
  if (value !== undefined) return rowsOf(value, (one) => rowsIn(one, path));
  // Many tools write one object a line into a file named .json.
  const firstLine = text.slice(0, Math.max(0, text.search(/[\r\n]/)));
  if (isRow(tryParse(firstLine)?.exact)) return parseJsonLines(text, path);
  throw new UserError(`${path} is not valid JSON: ${faultIn(text)}`);
}

/** One object a line; empty lines are passed over. Throws UserError with the line of the first fault. */
export async function readJsonLines(path: string, options?: ReadingOptions): Promise<Row[]> {
  return parseJsonLines(await readText(path, options), path);
}

function parseJsonLines(text: string, path: string): Row[] {
  const rows: Row[] = [];
  for (const [i, line] of text.split(/\r\n|[\r\n]/).entries())
    if (line.trim() !== '') rows.push(parseJsonLine(line, path, () => i));
  return rows;
}

/** A line's row. `linesBefore`: of the file, for messages. */
export function parseJsonLine(line: string, path: string, linesBefore: () => number): Row {
  const value = tryParse(line);
  if (value !== undefined && isRow(value.exact)) return rowsOf(value, (one) => [one as Row])[0]!;
  const before = linesBefore();
  throw new UserError(
    value === undefined
      ? `${path}: line ${before + 1} is not valid JSON: ${faultIn(line, before)}`
      : `${path}: line ${before + 1} is ${kindOf(value.exact)}, where an object is needed`,
  );
}

function rowsIn(value: unknown, path: string): Row[] {
  if (Array.isArray(value)) return listOfRows(value, path);
  if (!isRow(value)) {
    throw new UserError(`${path} holds ${kindOf(value)}, where a list of objects is needed`);
  }
  const { data } = value;
  if (Array.isArray(data) && isRow(data[0])) return listOfRows(data, path);
  return rowsOfColumns(value, path);
}

function listOfRows(values: readonly unknown[], path: string): Row[] {
  return values.map((value, i) => {
    if (!isRow(value))
      throw new UserError(`${path}: row ${i + 1} is ${kindOf(value)}, where an object is needed`);
    return value;
  });
}

function rowsOfColumns(table: Row, path: string): Row[] {
  const columns = Object.entries(table).map(([name, values]): [string, readonly unknown[]] => {
    if (Array.isArray(values)) return [name, values];
    throw new UserError(
      `${path}: ${JSON.stringify(name)} is ${kindOf(values)}; needed are a list of objects, {"data": [...]}, or a list for each column`,
    );
  });
  const [first] = columns;
  if (!first) return [];
  for (const [name, values] of columns) {
    if (values.length !== first[1].length) {
      throw new UserError(
        `${path}: the column ${JSON.stringify(name)} has ${values.length} values and ${JSON.stringify(first[0])} has ${first[1].length}`,
      );
    }
  }
  return first[1].map((_, i) => Object.fromEntries(columns.map(([name, values]) => [name, values[i]])));
}

/** A value of JSON as it is read, and as it is where numbers that JavaScript would write in another way are strings of their digits. */
interface Parsed {
  readonly plain: unknown;
  readonly exact: unknown;
}

/** Undefined where the text is not JSON. */
function tryParse(text: string): Parsed | undefined {
  try {
    const plain: unknown = JSON.parse(text);
    const exact = quoteNumbers(text);
    return { plain, exact: exact === text ? plain : JSON.parse(exact) };
  } catch {
    return undefined;
  }
}

/** Rows whose cells have the digits of the file; numbers within a cell's list or object are numbers. */
function rowsOf({ plain, exact }: Parsed, rowsIn: (value: unknown) => Row[]): Row[] {
  const rows = rowsIn(exact);
  if (plain === exact) return rows;
  const numbers = rowsIn(plain);
  return rows.map((row, i) => {
    const cells = Object.entries(row).map(([name, cell]) => [name, withNumbers(cell, numbers[i]![name])]);
    return Object.fromEntries(cells) as Row;
  });
}

function withNumbers(exact: unknown, plain: unknown, within = false): unknown {
  if (typeof plain === 'number') return !within || isTooLong(exact) ? exact : plain;
  if (Array.isArray(plain))
    return (plain as unknown[]).map((one, i) => withNumbers((exact as unknown[])[i], one, true));
  if (!isRow(plain)) return plain;
  const parts = Object.entries(plain).map(([key, one]) => [key, withNumbers((exact as Row)[key], one, true)]);
  return Object.fromEntries(parts);
}

/** Of digits in a string: a whole number that JavaScript does not have. */
function isTooLong(exact: unknown): boolean {
  return typeof exact === 'string' && /^-?\d+$/.test(exact) && !Number.isSafeInteger(Number(exact));
}

/**
 * JSON with numbers that JavaScript would write in another way as strings of their digits: JSON.parse makes 9007199254740992 of
 * 9007199254740993, and 1.1 of 1.10, and Node.js 20 does not show it the source. `text` is valid JSON, so that quotes are those of strings.
 */
function quoteNumbers(text: string): string {
  // Chats and the like have none.
  if (!/[:,[]\s*-?\d/.test(text)) return text;
  const parts: string[] = [];
  let done = 0;
  // From string to string: what stands in them is most of it.
  for (let from = 0; from < text.length;) {
    const opens = text.indexOf('"', from);
    const end = opens < 0 ? text.length : opens;
    for (const { 0: number, index } of text.slice(from, end).matchAll(/-?\d[\d.eE+-]*/g)) {
      if (String(Number(number)) === number) continue;
      parts.push(text.slice(done, from + index), `"${number}"`);
      done = from + index + number.length;
    }
    from = opens < 0 ? end : stringEnd(text, opens);
  }
  return done === 0 ? text : parts.join('') + text.slice(done);
}

/** Behind the string that begins at a quote. */
function stringEnd(text: string, opens: number): number {
  for (let at = opens + 1; ;) {
    QUOTE_OR_ESCAPE.lastIndex = at;
    const { index } = QUOTE_OR_ESCAPE.exec(text)!;
    if (text[index] === '"') return index + 1;
    at = index + 2;
  }
}

const QUOTE_OR_ESCAPE = /["\\]/g;

/** @param linesBefore lines of the file before `text` begins */
function faultIn(text: string, linesBefore = 0): string {
  const { offset, expected } = findJsonFault(text);
  const before = text.slice(0, offset).split(/\r\n|[\r\n]/);
  const found =
    offset < text.length ? JSON.stringify(String.fromCodePoint(text.codePointAt(offset)!)) : 'the end';
  return `at line ${linesBefore + before.length}, column ${before.at(-1)!.length + 1} stands ${found}, where ${expected} is needed`;
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
