/** What kernels read and write: spans of a device's memory, and matrices made of them. */

export type DType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8';

export const BYTES_PER_ELEMENT: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, f16: 2, i32: 4, u8: 1 };

/** A block of a device's memory, made by `Backend.alloc`. What `handle` is, the backend alone knows. */
export interface DeviceBuffer {
  readonly bytes: number;
  readonly handle: unknown;
}

/** `length` elements of a buffer, `offset` bytes from its start. */
export interface Span {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly dtype: DType;
  readonly length: number;
}

/** A matrix of plain numbers, [rows, cols]: f32, bf16 or f16. */
export interface DenseMatrix {
  readonly kind: 'dense';
  readonly rows: number;
  readonly cols: number;
  readonly data: Span;
}

/**
 * A matrix [rows, cols] in NF4 as bitsandbytes stores it (QLoRA, arXiv:2305.14314): flattened row-major, blocks of 64 values, two
 * 4-bit codes a byte, the earlier value in the high nibble. A block's scale is `absmax[b]` (f32); or, doubly quantized,
 * `nested.map[absmax[b]] * nested.absmax[b >> 8] + nested.offset[0]` with `absmax` u8 and blocks of 256 scales.
 */
export interface Nf4Matrix {
  readonly kind: 'nf4';
  readonly rows: number;
  readonly cols: number;
  /** u8 [ceil(rows * cols / 2)] */
  readonly packed: Span;
  /** f32 or u8 [ceil(rows * cols / 64)] */
  readonly absmax: Span;
  readonly nested?: {
    /** f32 [ceil(blocks / 256)] */
    readonly absmax: Span;
    /** f32 [256] */
    readonly map: Span;
    /** f32 [1] */
    readonly offset: Span;
  };
  /** The same values unpacked, where there is room: what multiplies many rows may read it instead of unpacking anew. */
  readonly dense?: DenseMatrix | undefined;
}

export type Matrix = DenseMatrix | Nf4Matrix;

/** Rows first … first + count · rows - 1: `count` times as many that one training brings to a pass. */
export interface RowGroup {
  readonly first: number;
  readonly rows: number;
  readonly count: number;
}
