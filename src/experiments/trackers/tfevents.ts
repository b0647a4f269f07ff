/**
 * TensorBoard's event files: scalars by step. A file is a row of TFRecords (length, its checksum, content, its checksum; the checksums
 * are masked CRC-32C), each an Event of tensorflow's event.proto with a Summary of summary.proto in protobuf's wire format. A file only
 * grows; a last record that a kill cut off is dropped, and scalars that stand there already are not written again.
 */

import { existsSync } from 'node:fs';
import { UserError } from '../../util/errors.js';
import { GrowingFile } from '../../util/growing.js';
import { readBytes } from '../../util/read.js';
import type { ScalarEvent } from './tracker.js';

/** Polynomial 0x1EDC6F41 reflected (Castagnoli), a byte at a time. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return ~c >>> 0;
}

/** TFRecord's way to keep a checksum of data that holds checksums from degenerating: turned by 15 bits, plus a constant. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const HEAD = 12;
const TAIL = 4;

/** A record of a content, with its checksums. */
export function tfRecord(content: Uint8Array): Buffer {
  const record = Buffer.alloc(HEAD + content.length + TAIL);
  record.writeBigUInt64LE(BigInt(content.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(content, HEAD);
  record.writeUInt32LE(maskedCrc(content), HEAD + content.length);
  return record;
}

/** The contents of the whole records from the beginning of a file, and where they end. */
export function readTfRecords(file: Buffer): { contents: Buffer[]; end: number } {
  const contents: Buffer[] = [];
  let end = 0;
  while (end + HEAD + TAIL <= file.length) {
    const length = file.readBigUInt64LE(end);
    if (file.readUInt32LE(end + 8) !== maskedCrc(file.subarray(end, end + 8))) break;
    if (length > file.length - end - HEAD - TAIL) break;
    const content = file.subarray(end + HEAD, end + HEAD + Number(length));
    if (file.readUInt32LE(end + HEAD + content.length) !== maskedCrc(content)) break;
    contents.push(content);
    end += HEAD + content.length + TAIL;
  }
  return { contents, end };
}

/** Protobuf's wire types. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) + 128);
    if (rest < 128) return Buffer.from(bytes);
  }
}

const key = (field: number, type: number): Buffer => varint(field * 8 + type);

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, FIXED64), bytes]);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, FIXED32), bytes]);
}

function bytesField(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([key(field, BYTES), varint(content.length), content]);
}

const textField = (field: number, value: string): Buffer => bytesField(field, Buffer.from(value, 'utf8'));

/** Numbers of the fields that are written here. */
const EVENT = { wall_time: 1, step: 2, file_version: 3, summary: 5 } as const;
const SUMMARY_VALUE = 1;
const VALUE = { tag: 1, simple_value: 2 } as const;

function versionEvent(wallTime: number): Buffer {
  return Buffer.concat([double(EVENT.wall_time, wallTime), textField(EVENT.file_version, 'brain.Event:2')]);
}

function scalarEvent({ wallTime, step, scalars }: ScalarEvent): Buffer {
  const values = Object.entries(scalars).map(([tag, value]) =>
    bytesField(SUMMARY_VALUE, Buffer.concat([textField(VALUE.tag, tag), float(VALUE.simple_value, value)])),
  );
  return Buffer.concat([
    double(EVENT.wall_time, wallTime),
    key(EVENT.step, VARINT),
    varint(step),
    bytesField(EVENT.summary, Buffer.concat(values)),
  ]);
}

/** The fields of a message: numbers of those of fixed size and varints, contents of the others. */
function* fieldsOf(message: Buffer): Generator<readonly [number, number | Buffer]> {
  let at = 0;
  const readVarint = (): number => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      if (!Number.isFinite(unit)) throw new RangeError('a number without end');
      const byte = message.readUInt8(at++);
      value += (byte % 128) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const head = readVarint();
    const field = Math.floor(head / 8);
    switch (head % 8) {
      case VARINT:
        yield [field, readVarint()];
        break;
      case FIXED64:
        yield [field, message.readDoubleLE(at)];
        at += 8;
        break;
      case FIXED32:
        yield [field, message.readFloatLE(at)];
        at += 4;
        break;
      case BYTES: {
        const length = readVarint();
        yield [field, message.subarray(at, (at += length))];
        break;
      }
      default:
        throw new RangeError(`wire type ${head % 8}`);
    }
  }
}

function scalarEventOf(message: Buffer): ScalarEvent {
  const fields = new Map(fieldsOf(message));
  const scalars: Record<string, number> = {};
  const summary = fields.get(EVENT.summary);
  if (summary instanceof Buffer) {
    for (const [, value] of fieldsOf(summary)) {
      if (!(value instanceof Buffer)) throw new RangeError('a summary is no message');
      const parts = new Map(fieldsOf(value));
      scalars[String(parts.get(VALUE.tag))] = Number(parts.get(VALUE.simple_value));
    }
  }
  const wallTime = Number(fields.get(EVENT.wall_time));
  return { wallTime, step: Number(fields.get(EVENT.step) ?? 0), scalars };
}

/** More than a billion steps' figures would not be looked at. */
const MAX_BYTES = 2 ** 30;

/** The scalars of an event file as this module writes it, and where its whole records end. */
function readEvents(path: string): { readonly events: ScalarEvent[]; readonly end: number } {
  const { contents, end } = readTfRecords(readBytes(path, MAX_BYTES));
  try {
    return { events: contents.slice(1).map(scalarEventOf), end };
  } catch (error) {
    // Records with true checksums and other contents: the file is another program's.
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(`${path} holds events that are none of Westwind's: move it elsewhere`);
  }
}

/** The scalars of an event file as this module writes it, whole records only. Throws UserError for another program's. */
export function readEventFile(path: string): ScalarEvent[] {
  return readEvents(path).events;
}

/** Appends scalars to an event file. The steps of a tag only rise. */
export class EventFile {
  private readonly file: GrowingFile;
  /** The last step of each tag. */
  private readonly last = new Map<string, number>();

  constructor(path: string) {
    const { events, end } = existsSync(path) ? readEvents(path) : { events: [], end: 0 };
    this.file = new GrowingFile(path, end);
    for (const event of events) this.note(event);
  }

  /** Scalars of a step that their tag has got to already are left out. */
  append({ wallTime, step, scalars }: ScalarEvent): void {
    const missing = Object.entries(scalars).filter(([tag]) => step > (this.last.get(tag) ?? -1));
    if (missing.length === 0) return;
    const event = { wallTime, step, scalars: Object.fromEntries(missing) };
    if (this.file.size === 0) this.file.append(tfRecord(versionEvent(wallTime)));
    this.file.append(tfRecord(scalarEvent(event)));
    this.note(event);
  }

  private note({ step, scalars }: ScalarEvent): void {
    for (const tag of Object.keys(scalars)) this.last.set(tag, step);
  }
}
