/** The reference backend's memory: one ArrayBuffer a block, and typed views of spans that check their bounds. */

import { bf16ToFloat32, f16ToFloat32, float32ToBf16, float32ToF16 } from '../../files/convert.js';
import { UserError } from '../../util/errors.js';
import type { MemoryUse } from '../contract.js';
import { BYTES_PER_ELEMENT, type DeviceBuffer, type DType, type Span } from '../span.js';

interface Block extends DeviceBuffer {
  /** Undefined once it is freed. */
  handle: ArrayBuffer | undefined;
}

/** Counts what is held. Freed blocks are left to the garbage collector, so that nothing is kept in reserve. */
export class Memory {
  private held = 0;
  private peak = 0;

  alloc(bytes: number): DeviceBuffer {
    let data: ArrayBuffer;
    try {
      data = new ArrayBuffer(bytes);
    } catch {
      throw new UserError(`out of memory: ${bytes} bytes more were asked for, ${this.held} are in use`);
    }
    // Every float is NaN at first: who reads what nobody wrote will see it.
    new Uint8Array(data).fill(0xff);
    this.held += bytes;
    this.peak = Math.max(this.peak, this.held);
    const block: Block = { bytes, handle: data };
    return block;
  }

  free(buffer: DeviceBuffer): void {
    dataOf(buffer);
    (buffer as Block).handle = undefined;
    this.held -= buffer.bytes;
  }

  use(): MemoryUse {
    return { held: this.held, peak: this.peak, reserved: this.held };
  }

  resetPeak(): void {
    this.peak = this.held;
  }
}

function dataOf(buffer: DeviceBuffer): ArrayBuffer {
  const { handle } = buffer as Block;
  if (handle === undefined) throw new Error('a buffer was used after it had been freed');
  return handle;
}

function check(span: Span, dtype: DType, n: number): void {
  if (span.dtype !== dtype) throw new TypeError(`expected ${dtype}, got ${span.dtype}`);
  if (span.length < n) throw new RangeError(`${n} elements are wanted of a span of ${span.length}`);
}

/** The first n elements of an f32 span. */
export function f32(span: Span, n: number): Float32Array<ArrayBuffer> {
  check(span, 'f32', n);
  return new Float32Array(dataOf(span.buffer), span.offset, n);
}

/** The first n elements of an i32 span. */
export function i32(span: Span, n: number): Int32Array<ArrayBuffer> {
  check(span, 'i32', n);
  return new Int32Array(dataOf(span.buffer), span.offset, n);
}

/** The first n elements of a u8 span. */
export function u8(span: Span, n: number): Uint8Array<ArrayBuffer> {
  check(span, 'u8', n);
  return new Uint8Array(dataOf(span.buffer), span.offset, n);
}

/** The bytes of a span of any type. */
export function bytesOf(span: Span): Uint8Array<ArrayBuffer> {
  return new Uint8Array(dataOf(span.buffer), span.offset, span.length * BYTES_PER_ELEMENT[span.dtype]);
}

/** Elements first … first + n - 1 of a span. */
export function slice(span: Span, first: number, n: number): Span {
  const { buffer, offset, dtype } = span;
  check(span, dtype, first + n);
  return { buffer, offset: offset + first * BYTES_PER_ELEMENT[dtype], dtype, length: n };
}

function u16(span: Span, n: number): Uint16Array<ArrayBuffer> {
  check(span, span.dtype, n);
  return new Uint16Array(dataOf(span.buffer), span.offset, n);
}

/** Elements first … first + n - 1 of a span of f32, bf16 or f16 as float32: a view of f32, a copy of the others. */
export function readFloats(span: Span, n: number, first = 0): Float32Array {
  const part = slice(span, first, n);
  if (span.dtype === 'bf16') return bf16ToFloat32(u16(part, n));
  if (span.dtype === 'f16') return f16ToFloat32(u16(part, n));
  return f32(part, n);
}

/** Rounds `values` into elements first … of a span of f32, bf16 or f16. */
export function writeFloats(span: Span, values: Float32Array, first = 0): void {
  const end = first + values.length;
  if (span.dtype === 'bf16') u16(span, end).set(float32ToBf16(values), first);
  else if (span.dtype === 'f16') u16(span, end).set(float32ToF16(values), first);
  else f32(span, end).set(values, first);
}
