/**
 * Tensors with explicit lifetimes. Memory is counted by reference on its storage and goes back to the backend's pool at once when
 * the last holder lets go: nothing waits for the garbage collector, so that a step's peak is known and the same every time.
 */

import type { Backend } from '../backends/contract.js';
import { BYTES_PER_ELEMENT, type DType, type DeviceBuffer, type Span } from '../backends/span.js';

/** A reference-counted block of a backend's memory. */
class Storage {
  private references = 1;
  readonly buffer: DeviceBuffer;

  constructor(
    readonly backend: Backend,
    bytes: number,
    place: 'device' | 'host',
  ) {
    this.buffer = backend.alloc(bytes, place);
  }

  retain(): void {
    if (this.references === 0) throw new Error('a tensor was retained after its memory was freed');
    this.references++;
  }

  release(): void {
    if (this.references === 0) throw new Error('a tensor was released twice');
    if (--this.references === 0) this.backend.free(this.buffer);
  }

  get alive(): boolean {
    return this.references > 0;
  }
}

/** A dense row-major array on a backend. Each Tensor object is one holder of its storage. */
export class Tensor implements Span {
  readonly length: number;

  private constructor(
    private readonly storage: Storage,
    readonly shape: readonly number[],
    readonly dtype: DType,
    readonly offset: number,
    /** Whether a gradient flows to it: set by the operation that makes it. */
    public needsGrad: boolean,
  ) {
    this.length = numel(shape);
  }

  /** Uninitialized memory; `place` as in `Backend.alloc`. */
  static empty(
    backend: Backend,
    shape: readonly number[],
    dtype: DType = 'f32',
    place: 'device' | 'host' = 'device',
  ): Tensor {
    const storage = new Storage(backend, numel(shape) * BYTES_PER_ELEMENT[dtype], place);
    return new Tensor(storage, shape, dtype, 0, false);
  }

  static zeros(
    backend: Backend,
    shape: readonly number[],
    dtype: 'f32' | 'bf16' = 'f32',
    place: 'device' | 'host' = 'device',
  ): Tensor {
    const t = Tensor.empty(backend, shape, dtype, place);
    backend.kernels.fill({ y: t, n: t.length, value: 0 });
    return t;
  }

  /** A copy of host numbers: Float32Array gives f32, Int32Array i32, Uint8Array u8. */
  static from(
    backend: Backend,
    data: Float32Array | Int32Array | Uint8Array,
    shape: readonly number[] = [data.length],
  ): Tensor {
    const dtype = data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'u8';
    if (numel(shape) !== data.length)
      throw new Error(`${data.length} numbers do not fill [${shape.join(', ')}]`);
    const t = Tensor.empty(backend, shape, dtype);
    backend.upload(data, t);
    return t;
  }

  get backend(): Backend {
    return this.storage.backend;
  }

  get buffer(): DeviceBuffer {
    if (!this.storage.alive) throw new Error('a tensor was used after its memory was freed');
    return this.storage.buffer;
  }

  /** Another holder of the same memory: all of it in another shape, or a part that begins at element `first`. */
  view(shape: readonly number[] = this.shape, first = 0): Tensor {
    if (first < 0 || first + numel(shape) > this.length) throw new Error('a view reaches beyond its tensor');
    this.storage.retain();
    return new Tensor(
      this.storage,
      shape,
      this.dtype,
      this.offset + first * BYTES_PER_ELEMENT[this.dtype],
      this.needsGrad,
    );
  }

  /** One more holder of this very object: balance with `release`. */
  retain(): this {
    this.storage.retain();
    return this;
  }

  release(): void {
    this.storage.release();
  }

  async toFloat32(): Promise<Float32Array<ArrayBuffer>> {
    if (this.dtype !== 'f32') throw new Error(`a ${this.dtype} tensor was read as f32`);
    const bytes = await this.backend.download(this);
    return new Float32Array(bytes.buffer, bytes.byteOffset, this.length);
  }

  async toInt32(): Promise<Int32Array<ArrayBuffer>> {
    if (this.dtype !== 'i32') throw new Error(`a ${this.dtype} tensor was read as i32`);
    const bytes = await this.backend.download(this);
    return new Int32Array(bytes.buffer, bytes.byteOffset, this.length);
  }
}

function numel(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Elements [first, first + length) of a span, without a hold on its memory: for the arguments of one kernel call. */
export function slice(span: Span, first: number, length: number): Span {
  if (first < 0 || first + length > span.length) throw new Error('a slice reaches beyond its span');
  return {
    buffer: span.buffer,
    offset: span.offset + first * BYTES_PER_ELEMENT[span.dtype],
    dtype: span.dtype,
    length,
  };
}
