/**
 * The compiled kernels. Device memory is plain addresses: a span's is its buffer's handle (a number) plus its offset.
 */

import { load, type LibraryHandle } from 'koffi';
import type { DType, Span } from '../span.js';

export type Library = LibraryHandle;

/** Loads the shared object; throws koffi's error when it is missing or foreign to this machine. */
export function openLibrary(path: string): Library {
  return load(path);
}

/** The address of a span's first element. */
export function address(span: Span): number {
  return (span.buffer.handle as number) + span.offset;
}

/** The kernels' codes for element types (enum in ww.h). */
export const DTYPE_CODE: Readonly<Record<DType, number>> = { f32: 0, bf16: 1, f16: 2, i32: 3, u8: 4 };
