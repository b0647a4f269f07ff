/**
 * Writer for safetensors files, laid out byte for byte as the Python library does it: tensors by descending dtype, then by name; the
 * header padded with spaces to a multiple of 8. Tensors stream through one at a time, and the file appears whole or not at all.
 */
import { throwIfAborted } from '../util/abort.js';
import { AtomicFile } from '../util/atomic.js';
import { DTYPE_BYTES, elementCount, type Dtype } from './dtype.js';

/** A tensor to come: all that the header needs. */
interface TensorSpec {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** A tensor with its little-endian bytes, or a function that makes them, or fetches them from a device, when their turn has come. */
export interface TensorToWrite extends TensorSpec {
  readonly data: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/** Bytes that a tensor takes in a file. */
export function tensorBytes(spec: TensorSpec): number {
  const count = elementCount(spec.shape);
  if (count === undefined)
    throw new RangeError(`'${spec.name}': shape [${spec.shape.join(', ')}] is too large`);
  return count * DTYPE_BYTES[spec.dtype];
}

/**
 * Writes a safetensors file. Rejects with a UserError where the disk is full or the place is not writable, and with an AbortError, between two
 * tensors, once `signal` is aborted; no file is there then.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<void> {
  const file = new AtomicFile(path);
  try {
    await writeTensors(file, tensors, metadata, signal);
    await file.commit();
  } finally {
    file.abort();
  }
}

/** The content of a safetensors file into one under construction. */
export async function writeTensors(
  file: AtomicFile,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<void> {
  const order = [...tensors].sort(byLayout);
  await file.write(encodeHeader(order, metadata));
  for (const { data, ...spec } of order) {
    throwIfAborted(signal);
    const bytes = typeof data === 'function' ? await data() : data;
    if (bytes.byteLength !== tensorBytes(spec)) {
      throw new RangeError(
        `'${spec.name}': ${bytes.byteLength} bytes for ${spec.dtype} [${spec.shape.join(', ')}]`,
      );
    }
    await file.write(bytes);
  }
  throwIfAborted(signal);
}

const RANK = Object.fromEntries(Object.keys(DTYPE_BYTES).map((name, i) => [name, i])) as Record<
  Dtype,
  number
>;

function byLayout(a: TensorSpec, b: TensorSpec): number {
  return RANK[b.dtype] - RANK[a.dtype] || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

/** The length prefix and the padded JSON. */
function encodeHeader(order: readonly TensorSpec[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const seen = new Set<string>();
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const spec of order) {
    if (seen.has(spec.name) || spec.name === '__metadata__') {
      throw new RangeError(`two tensors are named '${spec.name}', or its name is reserved`);
    }
    seen.add(spec.name);
    const { name, dtype, shape } = spec;
    const end = offset + tensorBytes(spec);
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = Buffer.from(`{${fields.join(',')}}`, 'utf8');
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return header;
}
