/**
 * Writer for GGUF files, version 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): a header, typed metadata, a table of
 * tensors, then their bytes, each from a multiple of the alignment. Tensors stream through one at a time, and the file appears whole or
 * not at all; what a kill left of it is gone on with.
 */
import { createHash } from 'node:crypto';
import { throwIfAborted } from '../../util/abort.js';
import { AtomicFile } from '../../util/atomic.js';
import { ResumableFile } from '../../util/resumable.js';
import {
  aligned,
  ARRAY,
  DEFAULT_ALIGNMENT,
  MAGIC,
  MAX_DIMS,
  MAX_NAME_BYTES,
  SCALARS,
  TENSOR_TYPES,
  tensorBytes,
  VERSION,
  type GgufValue,
  type Metadata,
  type ScalarType,
  type TensorType,
} from './types.js';

/** A tensor to come. `shape`: outermost first, as safetensors has it. */
export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  /** Makes its bytes when their turn has come. */
  readonly data: () => Uint8Array | Promise<Uint8Array>;
}

interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called behind every tensor with the bytes written so far, and those that there will be. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** What decides the tensors' bytes: a file of the same key that a kill left half done is gone on with. Absent: begun anew. */
  readonly key?: readonly string[] | undefined;
}

/**
 * Writes a file; the bytes of its tensors. `general.alignment` is obeyed where the metadata has it. Rejects with a UserError where the disk is full or the place is not
 * writable, or is being written to by another process, and with an AbortError, between two tensors, once `signal` is aborted; no file is there then.
 */
export async function writeGguf(
  path: string,
  metadata: Metadata,
  tensors: readonly GgufTensor[],
  { signal, onProgress, key }: WriteOptions = {},
): Promise<number> {
  const alignment = alignmentOf(metadata);
  const head = encodeHeader(metadata, tensors, alignment);
  const file =
    key === undefined
      ? new AtomicFile(path)
      : ResumableFile.open(path, [...key, createHash('sha256').update(head).digest('hex')]);
  try {
    const sizes = tensors.map(({ name, type, shape }) => tensorBytes(name, type, shape));
    const total = sizes.reduce((a, b) => a + b, 0);
    const kept = keepWhole(
      file,
      head.byteLength,
      sizes.map((size) => aligned(size, alignment)),
    );
    if (kept === 0) await file.write(head);
    let done = sizes.slice(0, kept).reduce((a, b) => a + b, 0);
    for (const [i, { name, data }] of tensors.entries()) {
      if (i < kept) continue;
      throwIfAborted(signal);
      const bytes = await data();
      const size = sizes[i]!;
      if (bytes.byteLength !== size)
        throw new RangeError(`'${name}': ${bytes.byteLength} bytes where ${size} belong`);
      await file.write(bytes);
      await file.write(new Uint8Array(aligned(size, alignment) - size));
      onProgress?.((done += size), total);
    }
    throwIfAborted(signal);
    await file.commit();
    return total;
  } finally {
    file.abort();
  }
}

/** Leaves of a file that was begun the tensors that are there, and cuts off the rest; how many they are. */
function keepWhole(file: AtomicFile | ResumableFile, head: number, sizes: readonly number[]): number {
  if (file instanceof AtomicFile) return 0;
  let end = head;
  let whole = 0;
  while (whole < sizes.length && end + sizes[whole]! <= file.found) end += sizes[whole++]!;
  // The last one's bytes may not have reached the disk when the machine itself went down.
  if (whole > 0) end -= sizes[--whole]!;
  file.keep(whole === 0 ? 0 : end);
  return whole;
}

function alignmentOf(metadata: Metadata): number {
  const given = metadata.get('general.alignment');
  return given?.type === 'uint32' ? given.value : DEFAULT_ALIGNMENT;
}

/** Header, metadata and the table of tensors, filled up to the alignment. */
function encodeHeader(metadata: Metadata, tensors: readonly GgufTensor[], alignment: number): Uint8Array {
  const out = new Sink();
  out.raw(Buffer.from(MAGIC));
  out.scalar('uint32', VERSION);
  out.scalar('uint64', BigInt(tensors.length));
  out.scalar('uint64', BigInt(metadata.size));
  for (const [key, value] of metadata) {
    out.scalar('string', key);
    out.value(value);
  }
  let offset = 0;
  const seen = new Set<string>();
  for (const { name, type, shape } of tensors) {
    if (seen.has(name)) throw new RangeError(`two tensors are named '${name}'`);
    seen.add(name);
    if (Buffer.byteLength(name) > MAX_NAME_BYTES || shape.length > MAX_DIMS || shape.length === 0)
      throw new RangeError(`'${name}' [${shape.join(', ')}]: a name or a shape that GGUF does not allow`);
    out.scalar('string', name);
    out.scalar('uint32', shape.length);
    for (const n of [...shape].reverse()) out.scalar('uint64', BigInt(n));
    out.scalar('uint32', TENSOR_TYPES[type].id);
    out.scalar('uint64', BigInt(offset));
    offset += aligned(tensorBytes(name, type, shape), alignment);
  }
  out.raw(new Uint8Array(aligned(out.length, alignment) - out.length));
  return out.bytes();
}

/** Bytes that grow. */
class Sink {
  #buffer = Buffer.alloc(1 << 16);
  length = 0;

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length).set(bytes, this.length);
    this.length += bytes.length;
  }

  value(value: GgufValue): void {
    if (value.type !== 'array') {
      this.scalar('uint32', SCALARS[value.type]);
      this.scalar(value.type, value.value);
      return;
    }
    this.scalar('uint32', ARRAY);
    this.scalar('uint32', SCALARS[value.of]);
    this.scalar('uint64', BigInt(value.value.length));
    for (const item of value.value) this.scalar(value.of, item);
  }

  scalar(type: ScalarType, value: GgufValue['value'] | number): void {
    if (type === 'string') {
      const bytes = Buffer.from(value as string, 'utf8');
      this.scalar('uint64', BigInt(bytes.length));
      this.raw(bytes);
      return;
    }
    this.length = WRITERS[type](this.#room(8), value as never, this.length);
  }

  #room(n: number): Buffer {
    if (this.length + n > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(2 * this.#buffer.length, this.length + n));
      larger.set(this.bytes());
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}

/** Each returns the place behind the value. */
const WRITERS: {
  readonly [T in Exclude<ScalarType, 'string'>]: (
    to: Buffer,
    value: Extract<GgufValue, { readonly type: T }>['value'],
    at: number,
  ) => number;
} = {
  uint8: (to, value, at) => to.writeUInt8(value, at),
  int8: (to, value, at) => to.writeInt8(value, at),
  uint16: (to, value, at) => to.writeUInt16LE(value, at),
  int16: (to, value, at) => to.writeInt16LE(value, at),
  uint32: (to, value, at) => to.writeUInt32LE(value, at),
  int32: (to, value, at) => to.writeInt32LE(value, at),
  float32: (to, value, at) => to.writeFloatLE(value, at),
  bool: (to, value, at) => to.writeUInt8(value ? 1 : 0, at),
  uint64: (to, value, at) => to.writeBigUInt64LE(value, at),
  int64: (to, value, at) => to.writeBigInt64LE(value, at),
  float64: (to, value, at) => to.writeDoubleLE(value, at),
};
