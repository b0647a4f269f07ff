/** What a format of packed weights is, whichever it is. */

import type { Backend } from '../backends/contract.js';
import type { DenseMatrix, Matrix, Span } from '../backends/span.js';
import type { FloatType } from '../files/index.js';

/** A matrix that is not of plain numbers. */
export type PackedMatrix = Exclude<Matrix, DenseMatrix>;

interface Sized {
  readonly rows: number;
  readonly cols: number;
  /** For messages. */
  readonly name?: string;
}

/** A matrix on the host, row-major. */
export interface HostMatrix extends Sized {
  /** Float32Array, or the little-endian bytes of `dtype`. */
  readonly data: Float32Array | Uint8Array;
  readonly dtype: FloatType;
}

/** A matrix on the backend, row-major. */
interface DeviceMatrix extends Sized {
  /** f32, bf16 or f16 [rows * cols] */
  readonly values: Span;
}

/** What weights are packed from. */
export type Values = HostMatrix | DeviceMatrix;

/** How to pack, where a format leaves a choice. */
export interface PackOptions {
  /** NF4's scales in eight bits. */
  readonly doubleQuant: boolean;
}

/** A checkpoint's arrays by name, with safetensors' names of types and little-endian bytes. */
export interface StoredSource {
  /** For messages. */
  readonly path: string;
  has(name: string): boolean;
  read(name: string): { dtype: string; shape: readonly number[]; data: Uint8Array };
}

/** How some checkpoints have weights that are packed already. */
interface StoredForm<M extends PackedMatrix> {
  /** Whether the weight `name` (`….weight`) is one. */
  has(source: Pick<StoredSource, 'has'>, name: string): boolean;
  /** Puts it on the backend. Throws UserError where it is not of [rows, cols], or not as Westwind has it. */
  read(backend: Backend, source: StoredSource, name: string, shape: readonly [rows: number, cols: number]): M;
}

/** A format in which weights are kept packed. They are neither trained nor merged into nor written. */
export interface PackedFormat<M extends PackedMatrix> {
  /** What they are in, for messages: 'is in 4 bits', 'holds 4-bit weights'. */
  readonly bits: number;
  /** Packs on the backend. Throws UserError where there is a value that is not finite. */
  pack(backend: Backend, values: Values, options: PackOptions): Promise<M>;
  /** Bytes that a matrix takes on a device. */
  bytes(rows: number, cols: number, options: PackOptions): number;
  /** The parts of its memory. */
  parts(matrix: M): readonly Span[];
  /** All values as bf16 [rows * cols]. */
  unpack(backend: Backend, matrix: M, to: Span): void;
  readonly stored?: StoredForm<M>;
}
