/**
 * Reader for safetensors files (https://github.com/huggingface/safetensors, "Format"): 8 bytes with the header's length, a JSON header
 * that says where each tensor lies, then the tensors' bytes without gaps. A file is inert data from anywhere, so all that the
 * header claims is checked against the file's real size before a byte of it is believed, and tensors are read one at a time.
 */
import { closeSync } from 'node:fs';
import { UserError } from '../util/errors.js';
import { readFault } from '../util/faults.js';
import { foreignBytes } from '../util/foreign.js';
import { openRegular } from '../util/read.js';
import { toFloat32 } from './convert.js';
import { DTYPE_BYTES, elementCount, isDtype, type Dtype } from './dtype.js';
import { quote } from './quote.js';
import { readFully } from './read-fully.js';

/** What a header says of one tensor. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Where its bytes begin in the file, and how many there are. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A tensor read from a file: little-endian bytes in row-major order, at the start of their own ArrayBuffer. */
export interface TensorData {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const MAX_HEADER_BYTES = 100_000_000;
const COMPARE_CHUNK = 1 << 24;

/** An open safetensors file. Hold it for as long as tensors are read, then `close` it. */
export class SafetensorsFile {
  readonly #fd: number;
  readonly #tensors: ReadonlyMap<string, TensorInfo>;
  /** The header's `__metadata__`, empty where it has none. */
  readonly metadata: Readonly<Record<string, string>>;

  private constructor(
    readonly path: string,
    fd: number,
    header: Header,
  ) {
    this.#fd = fd;
    this.#tensors = header.tensors;
    this.metadata = header.metadata;
  }

  /** Opens a file and checks its header. Throws UserError for a file that is missing, truncated or malformed. */
  static open(path: string): SafetensorsFile {
    const { fd, size } = openRegular(path);
    try {
      return new SafetensorsFile(path, fd, readHeader(path, fd, size));
    } catch (error) {
      closeSync(fd);
      throw readFault(path, error);
    }
  }

  /** Names of all tensors, in the order of their bytes in the file. */
  get names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** Throws UserError where there is no such tensor. */
  info(name: string): TensorInfo {
    const info = this.#tensors.get(name);
    if (info === undefined) throw new UserError(`${this.path}: there is no tensor named '${name}'`);
    return info;
  }

  /**
   * Reads one tensor into new memory, or into the first bytes of `into` (of at least the tensor's size).
   * Throws UserError where there is no such tensor or the file ends early.
   */
  read(name: string, into?: Uint8Array): TensorData {
    const { dtype, shape, offset, byteLength } = this.info(name);
    if (into !== undefined && into.byteLength < byteLength) {
      throw new RangeError(
        `'${name}' has ${byteLength} bytes, the memory to read it into has ${into.byteLength}`,
      );
    }
    const data = into?.subarray(0, byteLength) ?? new Uint8Array(byteLength);
    try {
      readFully(this.#fd, data, offset, this.path);
    } catch (error) {
      throw readFault(this.path, error);
    }
    return { dtype, shape, data };
  }

  /** Reads one tensor of real numbers as float32. Throws UserError for a tensor of integers as well. */
  readFloat32(name: string): Float32Array {
    const { dtype, data } = this.read(name);
    if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' || dtype === 'F64') {
      return toFloat32(dtype, data);
    }
    throw new UserError(`${this.path}: tensor '${name}' has type ${dtype}, not a floating-point type`);
  }

  /** Whether a tensor has the type, the shape and the bytes of another, of this file or of `other`; reads both in pieces. */
  same(name: string, other: SafetensorsFile, otherName: string): boolean {
    const [a, b] = [this.info(name), other.info(otherName)];
    if (a.dtype !== b.dtype || a.shape.length !== b.shape.length) return false;
    if (a.shape.some((n, i) => n !== b.shape[i])) return false;
    const size = Math.min(a.byteLength, COMPARE_CHUNK);
    const [left, right] = [new Uint8Array(size), new Uint8Array(size)];
    for (let at = 0; at < a.byteLength; at += size) {
      const n = Math.min(size, a.byteLength - at);
      readFully(this.#fd, left.subarray(0, n), a.offset + at, this.path);
      readFully(other.#fd, right.subarray(0, n), b.offset + at, other.path);
      if (Buffer.compare(left.subarray(0, n), right.subarray(0, n)) !== 0) return false;
    }
    return true;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

interface Header {
  readonly tensors: Map<string, TensorInfo>;
  readonly metadata: Record<string, string>;
}

function readHeader(path: string, fd: number, size: number): Header {
  if (size < 8) throw new UserError(`${path}: ${size} bytes are too few for a safetensors file`);
  const start = new Uint8Array(Math.min(64, size));
  readFully(fd, start, 0, path);
  const foreign = foreignBytes(start);
  if (foreign !== undefined) throw new UserError(`${path}: ${foreign}`);
  const prefix = start.subarray(0, 8);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || length > size - 8) {
    throw new UserError(
      `${path}: claims a header of ${length} bytes, but the file has ${size}; ` +
        'it is truncated or not a safetensors file',
    );
  }
  const bytes = new Uint8Array(length);
  readFully(fd, bytes, 8, path);
  return parseHeader(bytes, size - 8 - length, path);
}

/** Checks a header against the `dataLength` bytes that follow it. */
function parseHeader(bytes: Uint8Array, dataLength: number, path: string): Header {
  const refuse = (why: string): UserError => new UserError(`${path}: bad safetensors header: ${why}`);
  const keysWritten = scanStructure(bytes);
  if (keysWritten === undefined) throw refuse('it is not an object of flat entries');
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw refuse('it is not valid JSON');
  }
  if (!isObject(json)) throw refuse('it is not a JSON object');

  const entries = Object.entries(json);
  let keysFound = entries.length;
  const found: [string, TensorInfo][] = [];
  const metadata = Object.create(null) as Record<string, string>;
  for (const [name, entry] of entries) {
    if (!isObject(entry)) throw refuse(`entry ${quote(name)} is not an object`);
    keysFound += Object.keys(entry).length;
    if (name !== '__metadata__') {
      found.push([name, parseEntry(name, entry, 8 + bytes.byteLength, refuse)]);
      continue;
    }
    for (const [key, value] of Object.entries(entry)) {
      if (typeof value !== 'string') throw refuse(`__metadata__ ${quote(key)} is not a string`);
      metadata[key] = value;
    }
  }
  // JSON.parse keeps the last of several equal keys: fewer keys than colons means that one came twice.
  if (keysFound !== keysWritten) throw refuse('a key occurs twice');

  found.sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = 8 + bytes.byteLength;
  for (const [name, info] of found) {
    if (info.offset !== end) throw refuse(`tensor ${quote(name)} overlaps another or follows a gap`);
    end += info.byteLength;
  }
  if (end !== 8 + bytes.byteLength + dataLength) {
    throw new UserError(
      `${path}: its tensors end at byte ${end}, the file at ${8 + bytes.byteLength + dataLength}; ` +
        'it is truncated or damaged, fetch it again',
    );
  }
  return { tensors: new Map(found), metadata };
}

/** Types that the format has and no weights that Westwind reads. */
const UNREAD = /^(F4|F6_E\dM\d|F8_\w{4,6}|U16|U32|U64|C64)$/;

function parseEntry(
  name: string,
  entry: Record<string, unknown>,
  dataStart: number,
  refuse: (why: string) => UserError,
): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = entry;
  const tensor = `tensor ${quote(name)}`;
  if (typeof dtype === 'string' && UNREAD.test(dtype))
    throw refuse(`${tensor} has dtype ${dtype}, as quantized weights do; F32, BF16 and F16 weights are read`);
  if (!isDtype(dtype))
    throw refuse(`${tensor} has an unknown dtype ${quote(typeof dtype === 'string' ? dtype : typeof dtype)}`);
  if (!isSizes(shape)) throw refuse(`${tensor} has a shape that is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) throw refuse(`${tensor} has bad data_offsets`);
  const [begin, end] = offsets as [number, number];
  const count = elementCount(shape);
  if (end < begin || count === undefined || count * DTYPE_BYTES[dtype] !== end - begin) {
    throw refuse(
      `${tensor}: ${dtype} [${shape.slice(0, 8).join(', ')}] does not fill bytes ${begin} to ${end}`,
    );
  }
  return { dtype, shape, offset: dataStart + begin, byteLength: end - begin };
}

/**
 * One pass over the raw bytes before JSON.parse sees them: counts the keys (colons outside strings) and refuses what nests deeper
 * than a header does, since a hundred megabytes of brackets would cost gigabytes to parse. undefined: refused.
 */
function scanStructure(bytes: Uint8Array): number | undefined {
  if (bytes[0] !== 0x7b /* { */) return undefined;
  let depth = 0;
  let keys = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!;
    if (inString) {
      if (c === 0x5c /* \ */) i++;
      else if (c === 0x22 /* " */) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x3a /* : */) keys++;
    else if (c === 0x7b || c === 0x5b /* [ */) {
      if (++depth > 3) return undefined;
    } else if (c === 0x7d /* } */ || c === 0x5d /* ] */) depth--;
  }
  return keys;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
}
