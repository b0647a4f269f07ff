/**
 * Reader for GGUF files, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). A file is inert data from anywhere:
 * every count, length, offset and shape is checked against the file's real size before it is believed, and tensors are read one at a time.
 */
import { closeSync } from 'node:fs';
import { UserError } from '../../util/errors.js';
import { readFault } from '../../util/faults.js';
import { openRegular } from '../../util/read.js';
import { quote } from '../quote.js';
import { readFully } from '../read-fully.js';
import { elementCount } from '../dtype.js';
import { Cursor } from './cursor.js';
import {
  aligned,
  ARRAY,
  DEFAULT_ALIGNMENT,
  MAGIC,
  MAX_DIMS,
  OTHER_TENSOR_TYPES,
  SCALAR_BYTES,
  SCALARS,
  TENSOR_TYPES,
  tensorBytes,
  VERSION,
  type GgufValue,
  type Metadata,
  type ScalarType,
  type TensorType,
} from './types.js';

/** What the table says of one tensor. `shape`: outermost first. */
export interface GgufTensorInfo {
  readonly type: TensorType;
  readonly shape: readonly number[];
  /** Where its bytes begin in the file, and how many there are. */
  readonly offset: number;
  readonly byteLength: number;
}

/** An open file. Hold it for as long as tensors are read, then `close` it. */
export class GgufFile {
  private constructor(
    readonly path: string,
    readonly metadata: Metadata,
    /** In the order of their bytes. */
    readonly tensors: ReadonlyMap<string, GgufTensorInfo>,
    private readonly fd: number,
  ) {}

  /** Opens a file and checks all but the tensors' values. Throws UserError for a file that is missing, truncated or malformed. */
  static open(path: string): GgufFile {
    const { fd, size } = openRegular(path);
    try {
      const { metadata, tensors } = readHeader(new Cursor(path, fd, size), size);
      return new GgufFile(path, metadata, tensors, fd);
    } catch (error) {
      closeSync(fd);
      throw readFault(path, error);
    }
  }

  /** Throws UserError where there is no such tensor. */
  info(name: string): GgufTensorInfo {
    const info = this.tensors.get(name);
    if (info === undefined) throw new UserError(`${this.path}: there is no tensor named '${name}'`);
    return info;
  }

  /** One tensor's bytes. Throws UserError where there is no such tensor. */
  read(name: string): Uint8Array {
    const info = this.info(name);
    const data = new Uint8Array(info.byteLength);
    try {
      readFully(this.fd, data, info.offset, this.path);
    } catch (error) {
      throw readFault(this.path, error);
    }
    return data;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Least bytes of a key with its value, and of a line of the table. */
const KEY_BYTES = 8 + 4 + 1;
const LINE_BYTES = 8 + 4 + 4 + 8;

/** Of an array: far above every vocabulary, and little enough that its values fit into memory. */
const MAX_ELEMENTS = 1 << 24;

function readHeader(
  from: Cursor,
  size: number,
): { metadata: Metadata; tensors: Map<string, GgufTensorInfo> } {
  checkVersion(from);
  const tensorCount = from.count(LINE_BYTES, 'tensors');
  const keyCount = from.count(KEY_BYTES, 'keys');
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = from.name('a key');
    if (metadata.has(key)) throw from.fault(`the key ${quote(key)} occurs twice`);
    metadata.set(key, readValue(from, key));
  }
  const alignment = readAlignment(from, metadata);
  const tensors = new Map<string, GgufTensorInfo>();
  let offset = 0;
  for (let i = 0; i < tensorCount; i++) {
    const name = from.name("a tensor's name");
    if (tensors.has(name)) throw from.fault(`the tensor ${quote(name)} occurs twice`);
    const info = readTensor(from, name, offset);
    offset = aligned(info.offset + info.byteLength, alignment);
    tensors.set(name, info);
  }
  const start = aligned(from.at, alignment);
  for (const [name, info] of tensors) {
    const end = start + info.offset + info.byteLength;
    if (end > size)
      throw new UserError(
        `${from.path}: tensor ${quote(name)} ends at byte ${end}, the file at ${size}; it is truncated, fetch it again`,
      );
    tensors.set(name, { ...info, offset: start + info.offset });
  }
  return { metadata, tensors };
}

function checkVersion(from: Cursor): void {
  if (from.size < 24 || from.take(4).toString('latin1') !== MAGIC)
    throw new UserError(`${from.path}: it does not begin as a GGUF file does`);
  const version = from.scalar('uint32');
  if (version === VERSION || version === 2) return;
  if ((version & 0xffff) === 0)
    throw new UserError(`${from.path}: a big-endian GGUF file, which is not read: take a little-endian one`);
  throw new UserError(`${from.path}: GGUF of version ${version}; versions 2 and 3 are read`);
}

function readAlignment(from: Cursor, metadata: Metadata): number {
  const given = metadata.get('general.alignment');
  if (given === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = given;
  if (type === 'uint32' && value > 0 && value <= 1 << 20 && (value & (value - 1)) === 0) return value;
  throw from.fault('general.alignment is no power of two');
}

const TYPE_NAMES: ReadonlyMap<number, ScalarType> = new Map(
  Object.entries(SCALARS).map(([name, id]) => [id, name as ScalarType]),
);

function readValue(from: Cursor, key: string): GgufValue {
  const id = from.scalar('uint32');
  if (id !== ARRAY) {
    const type = scalarType(from, id, key);
    return { type, value: from.scalar(type) } as GgufValue;
  }
  const of = scalarType(from, from.scalar('uint32'), key);
  const count = from.count(SCALAR_BYTES[of], `elements of ${quote(key)}`);
  if (count > MAX_ELEMENTS) throw from.fault(`${quote(key)} has ${count} elements`);
  const value = new Array<unknown>();
  for (let i = 0; i < count; i++) value.push(from.scalar(of));
  return { type: 'array', of, value } as GgufValue;
}

function scalarType(from: Cursor, id: number, key: string): ScalarType {
  const type = TYPE_NAMES.get(id);
  if (type) return type;
  throw from.fault(`the key ${quote(key)} has a value of type ${id}, which is not known`);
}

const TENSOR_NAMES: ReadonlyMap<number, TensorType> = new Map(
  Object.entries(TENSOR_TYPES).map(([name, { id }]) => [id, name as TensorType]),
);

/** A type that other programs read is no fault of the file. */
function unread(from: Cursor, name: string, id: number): UserError {
  const known = OTHER_TENSOR_TYPES.get(id);
  const types = Object.keys(TENSOR_TYPES).join(', ');
  if (known === undefined)
    return from.fault(`tensor ${quote(name)} has type ${id} of ggml; ${types} are read`);
  return new UserError(
    `${from.path}: tensor ${quote(name)} is of type ${known}, which is not read: take a file of ${types}`,
  );
}

/** `expected`: where its bytes have to begin, in the data. */
function readTensor(from: Cursor, name: string, expected: number): GgufTensorInfo {
  const refuse = (why: string): UserError => from.fault(`tensor ${quote(name)} ${why}`);
  const dims = from.scalar('uint32');
  if (dims < 1 || dims > MAX_DIMS) throw refuse(`has ${dims} dimensions`);
  const shape = Array.from({ length: dims }, () => Number(from.scalar('uint64'))).reverse();
  const id = from.scalar('uint32');
  const type = TENSOR_NAMES.get(id);
  if (!type) throw unread(from, name, id);
  const { block, bytes } = TENSOR_TYPES[type];
  const count = elementCount(shape);
  if (
    count === undefined ||
    shape.includes(0) ||
    shape.at(-1)! % block !== 0 ||
    count * bytes > Number.MAX_SAFE_INTEGER
  )
    throw refuse(`has a shape that ${type} does not allow: [${shape.join(', ')}]`);
  const offset = Number(from.scalar('uint64'));
  if (offset !== expected) throw refuse(`begins at ${offset}, where ${expected} is the next place`);
  return { type, shape, offset, byteLength: tensorBytes(name, type, shape) };
}
