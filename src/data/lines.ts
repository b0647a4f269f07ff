/**
 * Rows of a JSON Lines file that has no room in memory: it is read through once, to know where its lines begin, and a line again whenever its
 * row is asked for.
 */

import { isUtf8 } from 'node:buffer';
import { UserError } from '../util/errors.js';
import { Lazy } from '../util/list.js';
import { changed, PlacedFile } from '../util/places.js';
import { abortable } from '../util/turns.js';
import { parseJsonLine } from './json.js';
import type { Row } from './row.js';
import { describeFault, utf16Of, type ReadingOptions } from './text.js';

/** Bytes that are read at a time where lines are asked for in their order. */
const WINDOW = 1 << 20;
const [TAB, LINE_FEED, VERTICAL_TAB, FORM_FEED, CARRIAGE_RETURN, SPACE] = [9, 10, 11, 12, 13, 32];
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * The rows of a file of UTF-8; undefined where it is UTF-16. Empty lines are passed over. A line that is no row throws when it is asked for.
 * @throws UserError for a file that cannot be read, or is of another kind; AbortError once `signal` is aborted
 */
export async function openJsonLines(
  path: string,
  { signal }: ReadingOptions = {},
): Promise<Lazy<Row> | undefined> {
  const file = new LineFile(path);
  if (utf16Of(file.bytes(0, Math.min(file.size, 4096)), path) !== undefined) return undefined;
  const starts = await abortable(signal, file.starts());
  let [last, row]: [number, Row] = [-1, {}];
  return new Lazy(starts.length - 1, (index) => {
    if (index !== last) row = rowAt(file, starts[index]!, starts[index + 1]!);
    last = index;
    return row;
  });
}

function rowAt(file: LineFile, start: number, end: number): Row {
  // Blank lines may stand behind it.
  const found = file.bytes(start, end);
  const ends = [LINE_FEED, CARRIAGE_RETURN].map((byte) => found.indexOf(byte)).filter((at) => at >= 0);
  const bytes = found.subarray(0, Math.min(found.length, ...ends));
  if (isUtf8(bytes)) return parseJsonLine(bytes.toString('utf8'), file.path, () => file.linesBefore(start));
  const before = { bytes: start, lines: file.linesBefore(start) };
  throw new UserError(`${file.path} is not UTF-8 text: ${describeFault(found, before)}`);
}

class LineFile {
  readonly size: number;
  private readonly file: PlacedFile;
  private readonly stamp: string;
  /** What was read on, and where it begins. */
  private window: Buffer = Buffer.alloc(0);
  private from = 0;
  /** What was read by itself last ends here. */
  private next = 0;

  constructor(readonly path: string) {
    this.file = new PlacedFile(path);
    this.size = this.file.size;
    this.stamp = this.file.stamp();
  }

  /** Where each line begins that is not blank, and the file's end; in pieces, for `inTurns`. */
  *starts(): Generator<void, Float64Array, void> {
    let starts = new Float64Array(1 << 12);
    let count = 0;
    const put = (at: number): void => {
      if (count === starts.length) {
        const more = new Float64Array(2 * count);
        more.set(starts);
        starts = more;
      }
      starts[count++] = at;
    };
    const marked = this.size >= MARK.length && this.bytes(0, MARK.length).equals(MARK);
    // Of a blank line that is not ASCII it shows in the text.
    let [start, blank, ascii] = [marked ? MARK.length : 0, true, true];
    const isRow = (end: number): boolean =>
      !blank || (!ascii && this.read(start, end).toString().trim() !== '');
    for (let at = start; at < this.size; at += WINDOW) {
      const bytes = this.bytes(at, Math.min(at + WINDOW, this.size));
      for (let i = 0; i < bytes.length; i++) {
        const byte = bytes[i]!;
        if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
          if (isRow(at + i)) put(start);
          start = at + i + 1;
          [blank, ascii] = [true, true];
        } else if (byte >= 0x80) ascii = false;
        else if (blank && byte !== SPACE && byte !== TAB && byte !== VERTICAL_TAB && byte !== FORM_FEED)
          blank = false;
      }
      yield;
    }
    if (isRow(this.size)) put(start);
    put(this.size);
    return starts.slice(0, count);
  }

  /** Bytes of the file; good until others are asked for. */
  bytes(from: number, to: number): Buffer {
    const end = this.from + this.window.length;
    if (from >= this.from && to <= end) return this.window.subarray(from - this.from, to - this.from);
    // Whoever asks for one line behind the other gets them from a long stretch that is read at once.
    const goesOn = (from >= this.from && from <= end) || from === this.next;
    this.next = to;
    if (!goesOn) return this.read(from, to);
    this.window = this.read(from, Math.max(to, Math.min(from + WINDOW, this.size)));
    this.from = from;
    return this.window.subarray(0, to - from);
  }

  /** Lines that end before a place. */
  linesBefore(place: number): number {
    let lines = 0;
    let before = 0;
    for (let at = 0; at < place; at += WINDOW)
      for (const byte of this.read(at, Math.min(at + WINDOW, place))) {
        if (byte === CARRIAGE_RETURN || (byte === LINE_FEED && before !== CARRIAGE_RETURN)) lines++;
        before = byte;
      }
    return lines;
  }

  /** Throws UserError where somebody writes to the file: lines no longer begin where they did. */
  private read(from: number, to: number): Buffer {
    const bytes = Buffer.allocUnsafe(to - from);
    if (this.file.stamp() !== this.stamp) throw changed(this.path);
    this.file.read(bytes, from);
    if (this.file.stamp() !== this.stamp) throw changed(this.path);
    return bytes;
  }
}
