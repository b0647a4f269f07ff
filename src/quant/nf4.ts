/**
 * Making and freeing NF4 matrices (QLoRA, arXiv:2305.14314) on a backend. All parts of a matrix lie in one block of memory, so that
 * what a model takes can be reckoned to the byte before anything is loaded.
 */

import type { Backend } from '../backends/contract.js';
import { BYTES_PER_ELEMENT, type DType, type Nf4Matrix, type Span } from '../backends/span.js';
import { UserError } from '../util/errors.js';
import { NF4_BLOCK } from '../util/nf4.js';
import { dynamicMap, NESTED_BLOCK } from '../util/double-quant.js';
import type { HostMatrix, PackOptions, Values } from './packed.js';

/** Parts begin on multiples of so many bytes. */
const ALIGNMENT = 64;
/** Values on their way to the device at once: a multiple of NF4_BLOCK. */
const PIECE = 1 << 20;

/** Elements of each part of a matrix of n values. */
function parts(n: number): { packed: number; blocks: number; nested: number } {
  const blocks = Math.ceil(n / NF4_BLOCK);
  return { packed: Math.ceil(n / 2), blocks, nested: Math.ceil(blocks / NESTED_BLOCK) };
}

/** Bytes that a matrix takes on a device. */
export function nf4Bytes(rows: number, cols: number, doubleQuant: boolean): number {
  const { packed, blocks, nested } = parts(rows * cols);
  const sizes = doubleQuant ? [packed, blocks, nested * 4, 256 * 4, 4] : [packed, blocks * 4];
  return sizes.reduce((sum, size) => sum + aligned(size), 0);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Memory for a matrix; of what is in it, only a doubly quantized one's map is set. */
export function allocateNf4(backend: Backend, rows: number, cols: number, doubleQuant: boolean): Nf4Matrix {
  const { packed, blocks, nested } = parts(rows * cols);
  const buffer = backend.alloc(nf4Bytes(rows, cols, doubleQuant));
  let offset = 0;
  const take = (dtype: DType, length: number): Span => {
    const span = { buffer, offset, dtype, length };
    offset += aligned(length * BYTES_PER_ELEMENT[dtype]);
    return span;
  };
  const common = { kind: 'nf4', rows, cols, packed: take('u8', packed) } as const;
  if (!doubleQuant) return { ...common, absmax: take('f32', blocks) };
  const absmax = take('u8', blocks);
  const scales = take('f32', nested);
  const map = take('f32', 256);
  backend.upload(dynamicMap(), map);
  return { ...common, absmax, nested: { absmax: scales, map, offset: take('f32', 1) } };
}

/**
 * Quantizes a matrix to NF4 on the backend: one of the host's a piece at a time, or one that is on the device. Throws UserError where it
 * holds a value that is not finite: as a scale it would spoil its whole block.
 */
export async function quantizeMatrix(
  backend: Backend,
  source: Values,
  { doubleQuant }: PackOptions,
): Promise<Nf4Matrix> {
  const { rows, cols, name = 'a weight' } = source;
  const matrix = allocateNf4(backend, rows, cols, doubleQuant);
  const { blocks } = parts(rows * cols);
  const room = backend.alloc((doubleQuant ? blocks + 1 : 1) * 4);
  const scratch: Span = { buffer: room, offset: 0, dtype: 'f32', length: blocks };
  const absmax = doubleQuant ? scratch : matrix.absmax;
  const sum: Span = { ...scratch, offset: doubleQuant ? blocks * 4 : 0, length: 1 };
  if ('data' in source) quantizeValues(backend, source, matrix.packed, absmax);
  else backend.kernels.quantizeNf4({ x: source.values, n: rows * cols, packed: matrix.packed, absmax });
  if (matrix.nested) {
    const { absmax: scales, map, offset } = matrix.nested;
    backend.kernels.quantizeScales({ absmax, n: blocks, map, codes: matrix.absmax, scales, offset });
  }
  // One number tells of all: a sum with a term that is not finite is not finite.
  backend.kernels.sumSquares({ x: absmax, n: blocks, out: sum, accumulate: false });
  const [total] = new Float32Array((await backend.download(sum)).buffer);
  backend.free(room);
  if (!Number.isFinite(total)) {
    // All its parts lie in one block.
    backend.free(matrix.packed.buffer);
    throw new UserError(`${name} holds a value that is not finite: the checkpoint is damaged`);
  }
  return matrix;
}

/** Fills `packed` and `absmax` (f32). */
function quantizeValues(
  backend: Backend,
  { data, dtype, rows, cols }: HostMatrix,
  packed: Span,
  absmax: Span,
): void {
  const size = BYTES_PER_ELEMENT[dtype];
  const total = rows * cols;
  if (data.byteLength !== total * size)
    throw new RangeError(`${data.byteLength} bytes are no ${dtype} matrix [${rows}, ${cols}]`);
  const room = backend.alloc(Math.min(PIECE, total) * size);
  for (let first = 0; first < total; first += PIECE) {
    const n = Math.min(PIECE, total - first);
    const x: Span = { buffer: room, offset: 0, dtype, length: n };
    backend.upload(new Uint8Array(data.buffer, data.byteOffset + first * size, n * size), x);
    const length = parts(n);
    backend.kernels.quantizeNf4({
      x,
      n,
      packed: { ...packed, offset: packed.offset + first / 2, length: length.packed },
      absmax: { ...absmax, offset: absmax.offset + (first / NF4_BLOCK) * 4, length: length.blocks },
    });
  }
  backend.free(room);
}
