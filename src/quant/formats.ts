/** The formats of packed weights, by a matrix's `kind`. */

import type { Backend } from '../backends/contract.js';
import type { DeviceBuffer, Matrix, Span } from '../backends/span.js';
import { isBnbWeight, readBnbMatrix } from './bnb.js';
import { nf4Bytes, quantizeMatrix } from './nf4.js';
import type { PackedFormat, PackedMatrix, StoredSource } from './packed.js';

export type PackedKind = PackedMatrix['kind'];

export const PACKED_FORMATS: {
  readonly [K in PackedKind]: PackedFormat<Extract<PackedMatrix, { readonly kind: K }>>;
} = {
  nf4: {
    bits: 4,
    pack: quantizeMatrix,
    bytes: (rows, cols, { doubleQuant }) => nf4Bytes(rows, cols, doubleQuant),
    parts: ({ packed, absmax, nested }) =>
      nested ? [packed, absmax, nested.absmax, nested.map] : [packed, absmax],
    unpack: (backend, w, y) => backend.kernels.dequantizeNf4({ w, y }),
    stored: { has: isBnbWeight, read: readBnbMatrix },
  },
};

export const PACKED_KINDS = Object.keys(PACKED_FORMATS) as PackedKind[];

export function formatOf<M extends PackedMatrix>(matrix: M): PackedFormat<M> {
  return PACKED_FORMATS[matrix.kind] as unknown as PackedFormat<M>;
}

/** The format in which a checkpoint has the weight `name` packed already; undefined where it has it as plain numbers, or not at all. */
export function storedFormat(
  source: Pick<StoredSource, 'has'>,
  name: string,
): PackedFormat<PackedMatrix> | undefined {
  return Object.values(PACKED_FORMATS).find(({ stored }) => stored?.has(source, name));
}

/** The blocks of memory that a matrix lies in. */
function buffersOf(matrix: Matrix): Set<DeviceBuffer> {
  const parts: readonly Span[] = matrix.kind === 'dense' ? [matrix.data] : formatOf(matrix).parts(matrix);
  return new Set(parts.map(({ buffer }) => buffer));
}

/** Gives a matrix's memory back. */
export function freeMatrix(backend: Backend, matrix: Matrix): void {
  for (const buffer of buffersOf(matrix)) backend.free(buffer);
}

/** Bytes that a matrix holds on its device. */
export function matrixBytes(matrix: Matrix): number {
  let bytes = 0;
  for (const buffer of buffersOf(matrix)) bytes += buffer.bytes;
  return bytes;
}
