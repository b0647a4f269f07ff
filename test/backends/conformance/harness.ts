/** How a kernel's cases are stated and run: host arrays in, one call, host arrays out, on any backend. */

import assert from 'node:assert/strict';
import type { Backend } from '../../../src/backends/contract.js';
import type { DType, Span } from '../../../src/backends/span.js';
import type { Dropout, Kernels } from '../../../src/backends/kernels.js';
import { bf16ToFloat32, f16ToFloat32, float32ToBf16, float32ToF16 } from '../../../src/files/convert.js';
import { philox4x32 } from '../../../src/util/philox.js';

type Values = Float32Array | Int32Array | Uint16Array | Uint8Array;

export interface HostArray {
  readonly dtype: DType;
  readonly data: Values;
}

/** Numbers that an output is held against. */
export type Numbers = ArrayLike<number>;

export interface Case {
  readonly name: string;
  readonly arrays: Readonly<Record<string, HostArray>>;
  /** The arrays that the kernel writes. What they hold before is part of the case. */
  readonly outputs: readonly string[];
  readonly call: (kernels: Kernels, spans: Readonly<Record<string, Span>>) => void;
  /** What some of the outputs must be by a formula of the test's own: the reference's check. */
  readonly expected?: (() => Readonly<Record<string, Numbers>>) | undefined;
  /** A tolerance of the case's own, where it deviates from its kernel's. */
  readonly tolerance?: number | undefined;
}

/** A case whose call names its arrays. */
export function define<Name extends string>(
  name: string,
  arrays: Record<Name, HostArray>,
  outputs: readonly NoInfer<Name>[],
  call: (kernels: Kernels, spans: Record<NoInfer<Name>, Span>) => void,
  more: Pick<Case, 'expected' | 'tolerance'> = {},
): Case {
  return { name, arrays, outputs, call: call as Case['call'], ...more };
}

let nextSeed = 1;

/** Where a file's numbers begin: each has its own, so that a case that is added changes no other file's. */
export function drawFrom(seed: number): void {
  nextSeed = seed;
}

/** Numbers uniform in [-1, 1), or in [low, high); each array of a run is another, the same in every run. */
export function random(n: number, low = -1, high = 1): Float32Array {
  const seed = nextSeed++;
  const values = new Float32Array(n);
  for (let i = 0; i < n; i += 4) {
    const words = philox4x32([i, 0, 0, 0], [seed, 4711]);
    for (let j = 0; j < 4 && i + j < n; j++) values[i + j] = low + ((high - low) * words[j]!) / 2 ** 32;
  }
  return values;
}

export function f32(data: Numbers): HostArray {
  return { dtype: 'f32', data: Float32Array.from(data) };
}

export function i32(data: Numbers): HostArray {
  return { dtype: 'i32', data: Int32Array.from(data) };
}

export function u8(data: Numbers): HostArray {
  return { dtype: 'u8', data: Uint8Array.from(data) };
}

/** Rounded to the type. */
export function floats(dtype: 'f32' | 'bf16' | 'f16', values: Float32Array): HostArray {
  if (dtype === 'f32') return { dtype, data: values };
  return { dtype, data: dtype === 'bf16' ? float32ToBf16(values) : float32ToF16(values) };
}

/** An output's memory: numbers that no kernel should leave there. */
export function unwritten(n: number, dtype: 'f32' | 'bf16' | 'f16' = 'f32'): HostArray {
  return floats(dtype, new Float32Array(n).fill(777));
}

export function valuesOf({ dtype, data }: HostArray): Numbers {
  if (dtype === 'bf16') return bf16ToFloat32(data as Uint16Array);
  return dtype === 'f16' ? f16ToFloat32(data as Uint16Array) : data;
}

/** What dropout multiplies an array's element i by. */
export function dropoutFactor({ p, random, firstElement }: Dropout, i: number): number {
  const element = firstElement + i;
  const block = Math.floor(element / 8);
  const words = philox4x32(
    [block % 2 ** 32, Math.floor(block / 2 ** 32), random.step, 0],
    [random.seed, random.stream],
  );
  const number = Math.floor(words[(element % 8) >> 1]! / 2 ** (16 * (element % 2))) % 2 ** 16;
  return number >= Math.min(65535, Math.round(p * 65536)) ? Math.fround(1 / (1 - p)) : 0;
}

export type Results = Readonly<Record<string, HostArray>>;

const GUARD = 0xa5;

/** Where arrays may begin: at the least that their type needs, and as a backend's own allocations do. */
export const ALIGNMENTS = [4, 256] as const;

/** Runs a case. All arrays lie in one block, at addresses of no more than the alignment, with bytes between that nobody may touch. */
export async function execute(
  backend: Backend,
  { arrays, outputs, call }: Case,
  alignment: (typeof ALIGNMENTS)[number] = 4,
): Promise<Results> {
  const layout = new Map<string, { array: HostArray; offset: number }>();
  let end = Math.max(64, alignment);
  for (const [name, array] of Object.entries(arrays)) {
    const offset = Math.ceil(end / alignment) * alignment;
    layout.set(name, { array, offset });
    end = offset + array.data.byteLength + 68;
  }
  const image = new Uint8Array(end).fill(GUARD);
  for (const { array, offset } of layout.values()) image.set(bytesOf(array.data), offset);

  const buffer = backend.alloc(end);
  try {
    const whole: Span = { buffer, offset: 0, dtype: 'u8', length: end };
    backend.upload(image, whole);
    const spans: Record<string, Span> = {};
    for (const [name, { array, offset }] of layout)
      spans[name] = { buffer, offset, dtype: array.dtype, length: array.data.length };
    call(backend.kernels, spans);
    const after = await backend.download(whole);

    const results: Record<string, HostArray> = {};
    for (const name of outputs) {
      const { array, offset } = layout.get(name)!;
      const bytes = after.slice(offset, offset + array.data.byteLength);
      const Type = array.data.constructor as new (buffer: ArrayBuffer) => Values;
      results[name] = { dtype: array.dtype, data: new Type(bytes.buffer) };
      image.set(bytes, offset);
    }
    const touched = image.findIndex((byte, i) => byte !== after[i]);
    assert.equal(touched, -1, `${backend.name} wrote outside its outputs, at byte ${touched} of ${end}`);
    return results;
  } finally {
    backend.free(buffer);
  }
}

function bytesOf(data: Values): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Fails where the two differ by more than `tolerance` times the largest wanted value, or `terms` where that is larger; tolerance 0 asks
 * for equal numbers.
 */
export function assertClose(
  found: HostArray,
  wanted: Numbers,
  { tolerance, terms = 0 }: { tolerance: number; terms?: number | undefined },
  what: string,
): void {
  const values = valuesOf(found);
  assert.equal(values.length, wanted.length, what);
  let largest = terms;
  for (let i = 0; i < wanted.length; i++)
    if (Number.isFinite(wanted[i])) largest = Math.max(largest, Math.abs(wanted[i]!));
  for (let i = 0; i < wanted.length; i++) {
    const [value, goal] = [values[i]!, wanted[i]!];
    if (value === goal || (Number.isNaN(value) && Number.isNaN(goal))) continue;
    const error = Math.abs(value - goal) / largest;
    assert.ok(
      error <= tolerance,
      `${what}[${i}] is ${value}, wanted ${goal}: off by ${error.toExponential(2)} of the largest, ${tolerance} is allowed`,
    );
  }
}

/** Fails where a bit differs. */
export function assertSameBits(found: Results, wanted: Results, what: string): void {
  for (const [name, { data }] of Object.entries(wanted)) {
    const other = bytesOf(found[name]!.data);
    const at = bytesOf(data).findIndex((byte, i) => byte !== other[i]);
    assert.equal(at, -1, `${what}: ${name} differs at byte ${at}`);
  }
}
