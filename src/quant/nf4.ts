/** NF4 matrices (QLoRA, arXiv:2305.14314): made from plain ones, counted, freed. */

import {
  BYTES_PER_ELEMENT,
  type Backend,
  type DType,
  type Matrix,
  type Nf4Matrix,
  type Span,
} from '../backends/contract.js';
import { quantizeScales, type NestedScales } from './double-quant.js';

export const NF4_BLOCK = 64;

export interface MatrixSource {
  /** Row-major, little-endian. */
  readonly data: Uint8Array;
  readonly dtype: 'f32' | 'bf16' | 'f16';
  readonly rows: number;
  readonly cols: number;
}

/** Numbers that are on the device unquantized at a time. */
const CHUNK = 1 << 20;

/** Quantizes a matrix piece by piece, so that the device holds little more than the result. The scales come to the host for their own quantization. */
export async function quantizeMatrix(
  backend: Backend,
  source: MatrixSource,
  { doubleQuant }: { doubleQuant: boolean },
): Promise<Nf4Matrix> {
  const { rows, cols, dtype, data } = source;
  const n = rows * cols;
  const blocks = Math.ceil(n / NF4_BLOCK);
  const packed = allocate(backend, 'u8', Math.ceil(n / 2));
  const absmax = allocate(backend, 'f32', blocks);
  const staging = allocate(backend, dtype, Math.min(n, CHUNK));
  const width = BYTES_PER_ELEMENT[dtype];
  for (let first = 0; first < n; first += CHUNK) {
    const count = Math.min(CHUNK, n - first);
    const x = { ...staging, length: count };
    backend.upload(data.subarray(first * width, (first + count) * width), x);
    backend.kernels.quantizeNf4({
      x,
      n: count,
      packed: part(packed, first / 2, Math.ceil(count / 2)),
      absmax: part(absmax, first / NF4_BLOCK, Math.ceil(count / NF4_BLOCK)),
    });
  }
  backend.free(staging.buffer);
  const single: Nf4Matrix = { kind: 'nf4', rows, cols, packed, absmax };
  if (!doubleQuant) return single;
  const bytes = await backend.download(absmax);
  backend.free(absmax.buffer);
  return {
    ...single,
    ...uploadNested(backend, quantizeScales(new Float32Array(bytes.buffer, bytes.byteOffset, blocks))),
  };
}

/** Doubly quantized scales on the device, as a matrix holds them. */
export function uploadNested(
  backend: Backend,
  scales: NestedScales,
): Required<Pick<Nf4Matrix, 'absmax' | 'nested'>> {
  return {
    absmax: uploaded(backend, scales.codes),
    nested: {
      absmax: uploaded(backend, scales.absmax),
      map: uploaded(backend, scales.map),
      offset: scales.offset,
    },
  };
}

/** Host numbers in device memory of their own. */
export function uploaded(backend: Backend, data: Uint8Array | Float32Array): Span {
  const span = allocate(backend, data instanceof Float32Array ? 'f32' : 'u8', data.length);
  backend.upload(data, span);
  return span;
}

export function freeMatrix(backend: Backend, matrix: Matrix): void {
  for (const span of spansOf(matrix)) backend.free(span.buffer);
}

/** Bytes of a matrix on the device. */
export function matrixBytes(matrix: Matrix): number {
  return spansOf(matrix).reduce((n, span) => n + span.length * BYTES_PER_ELEMENT[span.dtype], 0);
}

function spansOf(matrix: Matrix): Span[] {
  if (matrix.kind === 'dense') return [matrix.data];
  const { packed, absmax, nested } = matrix;
  return [packed, absmax, ...(nested ? [nested.absmax, nested.map] : [])];
}

function allocate(backend: Backend, dtype: DType, length: number): Span {
  return { buffer: backend.alloc(length * BYTES_PER_ELEMENT[dtype]), offset: 0, dtype, length };
}

function part(span: Span, first: number, length: number): Span {
  return { ...span, offset: span.offset + first * BYTES_PER_ELEMENT[span.dtype], length };
}
