/**
 * The compiled kernels as typed functions. Device memory is plain addresses: a pointer parameter is declared `uint64_t`, and a span's
 * address is its buffer's handle (a number) plus its offset. koffi converts nothing on the way.
 */

import { load, view, type LibraryHandle } from 'koffi';
import { BYTES_PER_ELEMENT, type DType, type Span } from '../contract.js';

export type Library = LibraryHandle;

/** Loads the shared object; throws koffi's error when it is missing or foreign to this machine. */
export function openLibrary(path: string): Library {
  return load(path);
}

/**
 * A function of the library by its C prototype, pointers to the backend's memory spelt `uint64_t`:
 * `declare(library, 'void ww_add(uint64_t a, uint64_t b, uint64_t y, int64_t n)')`.
 */
export function declare(library: Library, prototype: string): (...args: (number | Float64Array)[]) => void {
  return library.func(prototype) as (...args: (number | Float64Array)[]) => void;
}

/** The address of a span's first element. */
export function address(span: Span): number {
  return (span.buffer.handle as number) + span.offset;
}

/** The bytes of a span in place. */
export function bytesOf(span: Span): Uint8Array {
  return new Uint8Array(view(BigInt(address(span)), span.length * BYTES_PER_ELEMENT[span.dtype]));
}

/** An f32 span in place. */
export function floatsOf(span: Span): Float32Array {
  return new Float32Array(view(BigInt(address(span)), span.length * 4));
}

/** The kernels' codes for element types (enum in ww.h). */
export const DTYPE_CODE: Readonly<Record<DType, number>> = { f32: 0, bf16: 1, f16: 2, i32: 3, u8: 4 };
