/** Values that stand one behind the other at the beginning of a file, which is read as far as they go. */
import { UserError } from '../../util/errors.js';
import { readFully } from '../read-fully.js';
import type { GgufValue, ScalarType } from './types.js';

/** Of header, metadata and table together; the largest vocabularies come to a tenth of it. */
const MAX_HEADER_BYTES = 1 << 28;
const FIRST_BYTES = 1 << 16;
/** Of a key or a tensor's name. */
const MAX_NAME_BYTES = 1 << 16;

type ValueOf<T extends ScalarType> = Extract<GgufValue, { readonly type: T }>['value'];

export class Cursor {
  #bytes = Buffer.alloc(0);
  /** The place of what comes next. */
  at = 0;

  constructor(
    readonly path: string,
    private readonly fd: number,
    readonly size: number,
  ) {}

  fault(why: string): UserError {
    return new UserError(`${this.path}: bad GGUF file: ${why}`);
  }

  /** The next `n` bytes. */
  take(n: number): Buffer {
    const end = this.at + n;
    if (end > this.size)
      throw new UserError(`${this.path}: the file ends within its header; it is truncated, fetch it again`);
    if (end > MAX_HEADER_BYTES) throw this.fault('its header has more bytes than any model needs');
    if (end > this.#bytes.length) {
      const length = Math.min(this.size, Math.max(end, 2 * this.#bytes.length, FIRST_BYTES));
      const bytes = Buffer.alloc(length);
      this.#bytes.copy(bytes);
      readFully(this.fd, bytes.subarray(this.#bytes.length), this.#bytes.length, this.path);
      this.#bytes = bytes;
    }
    const taken = this.#bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** A count of things that take at least `bytes` each. */
  count(bytes: number, of: string): number {
    const n = Number(this.scalar('uint64'));
    if (n * bytes <= this.size - this.at) return n;
    throw this.fault(`it claims ${n} ${of}, for which it is too short`);
  }

  /** A string that names something. */
  name(what: string): string {
    const length = this.count(1, `bytes of ${what}`);
    if (length > MAX_NAME_BYTES) throw this.fault(`${what} has ${length} bytes`);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(length));
    } catch (error) {
      throw error instanceof UserError ? error : this.fault(`${what} is not UTF-8`);
    }
  }

  scalar<T extends ScalarType>(type: T): ValueOf<T> {
    return READERS[type](this);
  }
}

/** What is not UTF-8 in a value becomes U+FFFD. */
const READERS: { readonly [T in ScalarType]: (from: Cursor) => ValueOf<T> } = {
  uint8: (from) => from.take(1).readUInt8(),
  int8: (from) => from.take(1).readInt8(),
  uint16: (from) => from.take(2).readUInt16LE(),
  int16: (from) => from.take(2).readInt16LE(),
  uint32: (from) => from.take(4).readUInt32LE(),
  int32: (from) => from.take(4).readInt32LE(),
  float32: (from) => from.take(4).readFloatLE(),
  bool: (from) => from.take(1).readUInt8() !== 0,
  string: (from) => from.take(from.count(1, 'bytes of a string')).toString('utf8'),
  uint64: (from) => from.take(8).readBigUInt64LE(),
  int64: (from) => from.take(8).readBigInt64LE(),
  float64: (from) => from.take(8).readDoubleLE(),
};
