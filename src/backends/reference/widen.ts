/**
 * Activations in bfloat16: a kernel that is written for float32 runs on float32 copies, and what it leaves there is rounded once. An
 * operand that it does not write comes back with the same bits.
 */

import type { Span } from '../span.js';
import { readFloats, writeFloats } from './memory.js';

/** `kernel` for spans of bf16 as well, those one level down (`crossEntropy`'s gradient, each of `gemm`'s extra) included. */
export function widen<Args extends object>(kernel: (args: Args) => void): (args: Args) => void {
  return (args) => {
    const copies: { readonly from: Span; readonly copy: Span }[] = [];
    const wide = (span: Span): Span => {
      // Two names of one array stay one array.
      const there = copies.find((c) => c.from.buffer === span.buffer && c.from.offset === span.offset);
      if (there) return there.copy;
      const values = Float32Array.from(readFloats(span, span.length));
      const buffer = { bytes: values.byteLength, handle: values.buffer };
      const copy: Span = { buffer, offset: 0, dtype: 'f32', length: span.length };
      copies.push({ from: span, copy });
      return copy;
    };
    const widened = (value: unknown): unknown => (isBf16(value) ? wide(value) : value);
    const entries = Object.entries(args).map(([name, value]: [string, unknown]) => [
      name,
      Array.isArray(value)
        ? value.map((part) => mapObject(part, widened))
        : name === 'gradient'
          ? mapObject(value, widened)
          : widened(value),
    ]);
    kernel(Object.fromEntries(entries) as Args);
    for (const { from, copy } of copies) writeFloats(from, readFloats(copy, copy.length));
  };
}

function isBf16(value: unknown): value is Span {
  return typeof value === 'object' && value !== null && 'dtype' in value && value.dtype === 'bf16';
}

function mapObject(value: unknown, change: (value: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]: [string, unknown]) => [name, change(part)]),
  );
}
