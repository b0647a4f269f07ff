/**
 * Rows from CSV and its kin, the first line naming the columns. RFC 4180 (quoted fields may hold delimiters, quotes and line breaks), and
 * what pandas and Python's csv take beside it: lines end with CR, LF or both, in one file, too; a quote within a field that does not begin
 * with one stands for itself; columns without a name are passed over. csv-parse has no setting that takes such a quote and still refuses
 * text behind a closing one, which cannot be told from a quote that was not doubled.
 */
import { UserError } from '../util/errors.js';
import type { Row } from './row.js';
import { readText, type ReadingOptions } from './text.js';

export interface CsvOptions extends ReadingOptions {
  /** One character; the default is recognised: the one of `DELIMITERS` that parts the first lines alike. */
  readonly delimiter?: string | undefined;
}

const DELIMITERS = [',', '\t', ';', '|'] as const;

/** Lines that a delimiter is recognised by. */
const SAMPLE = 20;

/** Every value is a string. Throws UserError with the line of the first fault. */
export async function readCsv(path: string, options: CsvOptions = {}): Promise<Row[]> {
  const text = await readText(path, options);
  try {
    return csvRows(text, options.delimiter ?? recognise(text));
  } catch (error) {
    if (!(error instanceof CsvFault)) throw error;
    // A file that only CR parts has no LF to count.
    const line = text.slice(0, error.offset).split(/\r\n|[\r\n]/).length;
    throw new UserError(`${path}: line ${line} ${error.message}`);
  }
}

class CsvFault extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

function csvRows(text: string, delimiter: string): Row[] {
  const all = records(text, delimiter);
  const { value: header } = all.next();
  if (!header) return [];
  const names = namesOf(header);
  const rows: Row[] = [];
  for (const { fields, start } of all) {
    if (fields.length !== header.fields.length) {
      const counted = `${fields.length} field${fields.length === 1 ? '' : 's'}`;
      throw new CsvFault(
        start,
        `begins a row of ${counted}, but the first line names ${header.fields.length} columns (parted by ${shown(delimiter)})`,
      );
    }
    rows.push(Object.fromEntries(names.map(([name, i]) => [name, fields[i]!])));
  }
  return rows;
}

function namesOf({ fields, start }: CsvRecord): (readonly [name: string, place: number])[] {
  const places = new Map<string, number>();
  for (const [i, name] of fields.entries()) {
    // Nobody can ask for a column without a name.
    if (name.trim() === '') continue;
    if (places.has(name))
      throw new CsvFault(start, `names the column ${JSON.stringify(name)} twice: give one another name`);
    places.set(name, i);
  }
  return [...places];
}

interface CsvRecord {
  readonly fields: readonly string[];
  /** Where it begins in the text. */
  readonly start: number;
}

/** The records of a text, empty lines passed over. Throws CsvFault. */
function* records(text: string, delimiter: string): Generator<CsvRecord, undefined> {
  const plain = new RegExp(`[^\\r\\n${delimiter.replace(/[\\\]^-]/, '\\$&')}]*`, 'y');
  let fields: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length || fields.length > 0;) {
    const quoted = text[at] === '"';
    if (quoted) {
      const end = closingQuote(text, at);
      fields.push(text.slice(at + 1, end).replaceAll('""', '"'));
      at = end + 1;
    } else {
      plain.lastIndex = at;
      fields.push(plain.exec(text)![0]);
      at = plain.lastIndex;
    }
    if (text[at] === delimiter) {
      at++;
      continue;
    }
    if (at < text.length && text[at] !== '\r' && text[at] !== '\n') {
      const found = JSON.stringify(String.fromCodePoint(text.codePointAt(at)!));
      throw new CsvFault(
        at,
        `has ${found} after the quote that closes a field, where ${shown(delimiter)} or the line's end is needed; ` +
          'a quote inside a quoted field is written ""',
      );
    }
    at += text[at] === '\r' && text[at + 1] === '\n' ? 2 : 1;
    if (fields.length > 1 || fields[0] !== '' || quoted) yield { fields, start };
    fields = [];
    start = at;
  }
  return undefined;
}

function closingQuote(text: string, opening: number): number {
  for (let from = opening + 1; ;) {
    const at = text.indexOf('"', from);
    if (at < 0) throw new CsvFault(opening, 'opens a quote that is never closed');
    if (text[at + 1] !== '"') return at;
    from = at + 2;
  }
}

/** The delimiter that parts the header, and the lines after it alike; of several the one with the most columns, of none the comma. */
function recognise(text: string): string {
  const found = DELIMITERS.flatMap((delimiter) => {
    const counts: number[] = [];
    let whole = true;
    try {
      for (const { fields } of records(text, delimiter)) if (counts.push(fields.length) === SAMPLE) break;
    } catch (error) {
      if (!(error instanceof CsvFault)) throw error;
      whole = false;
    }
    const [columns = 0] = counts;
    return columns > 1 ? [{ delimiter, columns, alike: whole && counts.every((n) => n === columns) }] : [];
  });
  const best = found.sort((a, b) => Number(b.alike) - Number(a.alike) || b.columns - a.columns)[0];
  return best?.delimiter ?? ',';
}

function shown(delimiter: string): string {
  const names: Readonly<Record<string, string>> = { ',': 'a comma', '\t': 'a tab', ';': 'a semicolon' };
  return names[delimiter] ?? JSON.stringify(delimiter);
}
