/**
 * Tokenized texts in two files that only grow: their numbers, one behind the other, and a record of each text. What a killed process wrote
 * stands there for the next one to go on behind.
 */

import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../util/errors.js';
import { writeFault } from '../util/faults.js';
import { GrowingFile } from '../util/growing.js';
import { PlacedFile } from '../util/places.js';
import { readBytes } from '../util/read.js';
import { IGNORE_INDEX, type Example } from './packing.js';

/** A text as it is kept. */
export interface KeptExample extends Example {
  readonly shortened: boolean;
}

/** int32 of a record: tokens, tokens of the encoder, the last token, the row, the source + 1, flags, and a sum over these and the numbers. */
const FIELDS = 7;
const RECORD = 4 * FIELDS;
const [TOKENS, ENCODER, LAST, ROW, SOURCE, FLAGS, SUM] = [0, 1, 2, 3, 4, 5, 6];
/** There is none for this row: it had to be left out. */
const [SHORTENED, LEFT_OUT] = [1, 2];

const MOST_RECORDS = 2 ** 31;

/** Numbers that are looked through in a piece. */
const PIECE = 1 << 18;

/**
 * A folder of them. A token that is not trained on stands as its complement, which is below 0. A kill leaves whole texts, of which the last
 * is cut; a machine that goes down may leave zeros, so that what no process has ended is looked through by its sums (`mended`).
 */
export class EncodedFile {
  /** Texts that were kept, those that were left out among them. */
  length = 0;
  private readonly paths: Readonly<Record<'tokens' | 'records' | 'ended', string>>;
  private tokens: GrowingFile;
  private records: GrowingFile;
  private index: Int32Array;
  /** Where each text's numbers begin. */
  private starts: Float64Array;
  private file: PlacedFile | undefined;

  /** Opens it, or makes it; what was not whole is cut off. `texts`: how many there will be, where that is known. */
  constructor(
    readonly folder: string,
    texts = 0,
  ) {
    mkdirSync(folder, { recursive: true });
    const [tokens, records, ended] = ['tokens.bin', 'texts.bin', 'ended'].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    this.paths = { tokens, records, ended };
    const there = statSync(tokens, { throwIfNoEntry: false })?.size ?? 0;
    const bytes = existsSync(records) ? readBytes(records, MOST_RECORDS) : Buffer.alloc(0);
    const whole = Math.floor(bytes.length / RECORD);
    this.index = new Int32Array(new Uint8Array(bytes.subarray(0, whole * RECORD)).buffer);
    this.starts = new Float64Array(whole + 1);
    for (let i = 0; i < whole; i++) {
      const [tokens, encoder] = [this.field(i, TOKENS), this.field(i, ENCODER)];
      const end = this.starts[i]! + tokens + encoder;
      if (tokens < 0 || encoder < 0 || 4 * end > there) break;
      this.starts[i + 1] = end;
      this.length = i + 1;
    }
    [this.tokens, this.records] = this.cut();
    this.grow(texts);
  }

  /** Cuts off what a process left that did not come to its end, from the first text on that is not what was written. For `inTurns`. */
  *mended(): Generator<void, void, void> {
    if (existsSync(this.paths.ended)) return;
    let read = 0;
    for (let i = 0; i < this.length; i++) {
      read += this.sizes(i).ids;
      if (!this.isSound(i, this.read(i))) {
        this.length = i;
        [this.tokens, this.records] = this.cut();
      } else if (read > PIECE) {
        read = 0;
        yield;
      }
    }
  }

  /** Sees to it that all is on the disk, whatever becomes of the machine. */
  async end(): Promise<void> {
    const { tokens, records, ended } = this.paths;
    if (existsSync(ended)) return;
    try {
      for (const path of [tokens, records]) {
        const file = await open(path, 'r+');
        await file.sync().finally(() => file.close());
      }
      writeFileSync(ended, '');
    } catch (error) {
      throw writeFault(this.folder, error);
    }
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
      const record = [ids.length, encoderIds.length, ids[ids.length - 1] ?? -1, rows[i]!, source + 1, flags];
      const own = numbers.subarray(at - encoderIds.length - ids.length, at);
      records.set([...record, sumOf(own, sumOf(record))], FIELDS * i);
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
    const { encoder } = this.sizes(index);
    const numbers = this.read(index);
    if (!this.isSound(index, numbers))
      throw new UserError(`${this.paths.tokens} is damaged; remove ${this.folder}, and it is made again`);
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

  private field(index: number, field: number): number {
    return this.index[FIELDS * index + field]!;
  }

  /** Whether a text's numbers and its record are what was written. */
  private isSound(index: number, numbers: Int32Array): boolean {
    const record = this.index.subarray(FIELDS * index, FIELDS * index + SUM);
    return sumOf(numbers, sumOf(record)) === this.field(index, SUM);
  }

  private read(index: number): Int32Array {
    this.file ??= new PlacedFile(this.paths.tokens);
    const numbers = new Int32Array(this.starts[index + 1]! - this.starts[index]!);
    this.file.read(bytesOf(numbers), 4 * this.starts[index]!);
    return numbers;
  }

  /** Both files without what stands behind the texts. */
  private cut(): [tokens: GrowingFile, records: GrowingFile] {
    return [
      new GrowingFile(this.paths.tokens, 4 * this.starts[this.length]!),
      new GrowingFile(this.paths.records, RECORD * this.length),
    ];
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

/** FNV-1a over whole numbers, which is not 0 for zeros. */
function sumOf(numbers: ArrayLike<number>, before = 0x811c9dc5 | 0): number {
  let sum = before;
  for (let i = 0; i < numbers.length; i++) sum = Math.imul(sum ^ numbers[i]!, 0x01000193);
  return sum;
}
