/**
 * Tokenized texts in two files that only grow: their numbers, one behind the other, and a record of each text. What a killed process wrote
 * stands there for the next one to go on behind.
 */

import { closeSync, mkdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readFault } from '../util/faults.js';
import { GrowingFile } from '../util/growing.js';
import { openRegular, readBytes } from '../util/read.js';
import { IGNORE_INDEX, type Example } from './packing.js';

/** A text as it is kept. */
export interface KeptExample extends Example {
  readonly shortened: boolean;
}

/** int32 of a record: tokens, tokens of the encoder, the last token, the row, the source + 1, and flags. */
const FIELDS = 6;
const RECORD = 4 * FIELDS;
const [TOKENS, ENCODER, LAST, ROW, SOURCE, FLAGS] = [0, 1, 2, 3, 4, 5];
/** There is none for this row: it had to be left out. */
const [SHORTENED, LEFT_OUT] = [1, 2];

const MOST_RECORDS = 2 ** 31;

/** A folder of them. A token that is not trained on stands as its complement, which is below 0. */
export class EncodedFile {
  /** Texts that were kept, those that were left out among them. */
  length: number;
  private readonly tokens: GrowingFile;
  private readonly records: GrowingFile;
  private index: Int32Array;
  /** Where each text's numbers begin. */
  private starts: Float64Array;
  private fd: number | undefined;

  /** Opens it, or makes it; what was not whole is cut off. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const [tokens, records] = ['tokens.bin', 'texts.bin'].map((name) => join(folder, name)) as [
      string,
      string,
    ];
    const there = statSync(tokens, { throwIfNoEntry: false })?.size ?? 0;
    const bytes = statSync(records, { throwIfNoEntry: false })
      ? readBytes(records, MOST_RECORDS)
      : Buffer.alloc(0);
    const whole = Math.floor(bytes.length / RECORD);
    this.index = new Int32Array(new Uint8Array(bytes.subarray(0, whole * RECORD)).buffer);
    this.starts = new Float64Array(whole + 1);
    this.length = 0;
    for (let i = 0; i < whole; i++) {
      const end = this.starts[i]! + this.field(i, TOKENS) + this.field(i, ENCODER);
      if (4 * end > there) break;
      this.starts[i + 1] = end;
      this.length = i + 1;
    }
    this.tokens = new GrowingFile(tokens, 4 * this.starts[this.length]!);
    this.records = new GrowingFile(records, RECORD * this.length);
  }

  /** Adds texts; undefined: one that is left out. */
  append(examples: readonly (KeptExample | undefined)[], rows: readonly number[]): void {
    const total = examples.reduce(
      (n, one) => n + (one ? one.ids.length + (one.encoderIds?.length ?? 0) : 0),
      0,
    );
    const [numbers, records] = [new Int32Array(total), new Int32Array(FIELDS * examples.length)];
    this.grow(this.length + examples.length);
    let at = 0;
    for (const [i, example] of examples.entries()) {
      const { ids = [], labels = [], encoderIds = [], source = -1, shortened = false } = example ?? {};
      numbers.set(encoderIds, at);
      at += encoderIds.length;
      for (let t = 0; t < ids.length; t++) numbers[at++] = labels[t] === IGNORE_INDEX ? ~ids[t]! : ids[t]!;
      const flags = (shortened ? SHORTENED : 0) | (example ? 0 : LEFT_OUT);
      records.set(
        [ids.length, encoderIds.length, ids[ids.length - 1] ?? -1, rows[i]!, source + 1, flags],
        FIELDS * i,
      );
      this.starts[this.length + i + 1] = this.starts[this.length + i]! + ids.length + encoderIds.length;
    }
    // A record says that its numbers are there.
    this.tokens.append(bytesOf(numbers));
    this.records.append(bytesOf(records));
    this.index.set(records, FIELDS * this.length);
    this.length += examples.length;
  }

  isLeftOut(index: number): boolean {
    return (this.field(index, FLAGS) & LEFT_OUT) !== 0;
  }

  isShortened(index: number): boolean {
    return (this.field(index, FLAGS) & SHORTENED) !== 0;
  }

  row(index: number): number {
    return this.field(index, ROW);
  }

  /** Tokens of a text, and of what an encoder reads of it. */
  sizes(index: number): { readonly ids: number; readonly encoder: number } {
    return { ids: this.field(index, TOKENS), encoder: this.field(index, ENCODER) };
  }

  /** A text's last token. */
  last(index: number): number {
    return this.field(index, LAST);
  }

  /** A text that was kept. */
  at(index: number): KeptExample {
    const { ids: count, encoder } = this.sizes(index);
    const numbers = this.read(this.starts[index]!, count + encoder);
    const encoderIds = numbers.subarray(0, encoder);
    const ids = numbers.subarray(encoder).map((n) => (n < 0 ? ~n : n));
    const labels = numbers.subarray(encoder).map((n) => (n < 0 ? IGNORE_INDEX : n));
    const source = this.field(index, SOURCE) - 1;
    return {
      ...{ ids, labels, row: this.row(index), shortened: this.isShortened(index) },
      ...(encoder > 0 && { encoderIds }),
      ...(source >= 0 && { source }),
    };
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private field(index: number, field: number): number {
    return this.index[FIELDS * index + field]!;
  }

  private read(first: number, count: number): Int32Array {
    const { path } = this.tokens;
    this.fd ??= openRegular(path).fd;
    const numbers = new Int32Array(count);
    const bytes = bytesOf(numbers);
    try {
      for (let done = 0; done < bytes.length;) {
        const read = readSync(this.fd, bytes, done, bytes.length - done, 4 * first + done);
        if (read === 0) throw new Error('it is shorter than it was');
        done += read;
      }
    } catch (error) {
      throw readFault(path, error);
    }
    return numbers;
  }

  private grow(texts: number): void {
    if (this.starts.length > texts) return;
    const room = Math.max(texts, 2 * this.length, 1024);
    const [index, starts] = [new Int32Array(FIELDS * room), new Float64Array(room + 1)];
    index.set(this.index.subarray(0, FIELDS * this.length));
    starts.set(this.starts.subarray(0, this.length + 1));
    [this.index, this.starts] = [index, starts];
  }
}

function bytesOf(numbers: Int32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
