/**
 * What a backend must offer: memory, and one typed table of kernels. Everything above (tensors, operations, models) is written
 * against this file and kernels.ts alone, so a new backend is a folder that fills the table; one that lacks a kernel does not compile.
 *
 * Conventions. Arrays are dense and row-major. Activations and their gradients are spans of one type in a call, f32 everywhere, bf16
 * too on a backend whose `activations` says so; sums are taken in f32 or better whatever the type. Parameters' gradients, losses and
 * norms are f32. "Accumulate" means `y += result` in place of `y = result`. A kernel may run ahead of the host: only `download` and
 * `synchronize` wait. Reductions have a fixed order that does not depend on the number of threads; on a `batchInvariant` backend nor,
 * for a row of a result, on how many other rows stand in the call: the same rows give the same bits in any batch.
 */

import type { Kernels } from './kernels.js';
import type { DeviceBuffer, Span } from './span.js';

export type DeviceName = 'reference' | 'cpu' | 'cuda';

/** Work that was recorded once and runs again and again. */
export interface Recording {
  /** Enqueues the work: the same kernels over the same memory, which holds what the host or other kernels put there since. */
  run(): void;
  dispose(): void;
}

/** Time on the device by kernel, from the call of `profile` on. */
export interface Profile {
  stop(): Promise<ReadonlyMap<string, { readonly calls: number; readonly milliseconds: number }>>;
}

export interface MemoryUse {
  /** Bytes in spans that somebody holds. */
  readonly held: number;
  readonly peak: number;
  /** Bytes taken from the system, free blocks kept for reuse included. */
  readonly reserved: number;
}

/** A device that computes: its memory, its kernels (the table of kernels.ts), and what sets it apart. Made by `createBackend`. */
export interface Backend {
  readonly name: DeviceName;
  /** One line for people: processor, threads, instruction set. */
  readonly description: string;
  /** What of the machine shows in the bits of results: instruction set, types of products. Not the number of threads. */
  readonly arithmetic: string;
  /** Whether gemm's `precision: 'bf16'` is faster here. */
  readonly fastBf16: boolean;
  /** The type of activations in bf16 precision: f32 where only the factors of products are rounded. */
  readonly activations: 'f32' | 'bf16';
  /** Whether the host had better ask for the next work before it waits for this, and have steps recorded. */
  readonly runsAhead: boolean;
  /** Whether a row's bits are the same in any batch. */
  readonly batchInvariant: boolean;
  readonly kernels: Kernels;
  /**
   * Uninitialized memory, aligned to 64 bytes. Throws UserError when the device has no more. 'host' asks for the machine's main memory
   * as the kernels see it, slowly, from the device: for what is touched once a step.
   */
  alloc(bytes: number, place?: 'device' | 'host'): DeviceBuffer;
  /** Gives a buffer back; using it afterwards is a fault. */
  free(buffer: DeviceBuffer): void;
  /** Copies host bytes to a span; the source may change after the call. */
  upload(data: ArrayBufferView, to: Span): void;
  /** The span's bytes once all that was asked before is done. */
  download(from: Span): Promise<Uint8Array<ArrayBuffer>>;
  synchronize(): Promise<void>;
  /**
   * Runs `body`, which enqueues kernels. Once `signal` is aborted, what of them the device has not begun may be left out: what they were to
   * write is then anything, so that nobody else may read it.
   */
  abortable<T>(signal: AbortSignal, body: () => T): T;
  /**
   * Runs `body`, which only enqueues kernels and may neither upload nor download, and keeps what it enqueued. Memory that it allocates
   * and frees stays the recording's own.
   */
  record(body: () => void): Recording;
  /** Host memory of at least so many bytes from which uploads are fastest. Its contents may be overwritten by the next call's holder. */
  staging(bytes: number): Uint8Array;
  /** Bytes that could still be allocated. */
  available(): number;
  memory(): MemoryUse;
  resetPeak(): void;
  /** Gives free blocks back to the system. */
  trim(): void;
  /** Times every kernel from here to `stop`, at some cost, where the device has clocks for it. */
  profile?(): Profile;
}
