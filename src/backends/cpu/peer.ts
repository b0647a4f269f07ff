/**
 * The matrix product beside OpenBLAS's `sgemm`, the measure of what this machine's processor can do: both in one process, taking
 * turns, so that whatever else the machine does falls on both.
 */

import { load, type LibraryHandle } from 'koffi';
import type { Backend } from '../contract.js';
import type { Span } from '../span.js';
import type { GemmArgs } from '../kernels.js';
import { address } from './library.js';

export interface GemmShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export interface GemmComparison extends GemmShape {
  /** Medians, in 10⁹ operations a second (2·m·n·k of them in a product). */
  readonly ours: number;
  readonly openblas: number;
  /** Ours over OpenBLAS's: the median of the ratios of neighbouring runs. */
  readonly ratio: number;
}

const ROW_MAJOR = 101;
const NO_TRANS = 111;
const TRANS = 112;

/**
 * Times a·bᵀ in float32 on a `cpu` backend and by OpenBLAS, both with `threads` threads. `undefined` where OpenBLAS is not
 * installed (on Debian: libopenblas0-pthread).
 */
export async function compareWithOpenBlas(
  backend: Backend,
  threads: number,
  { m, n, k }: GemmShape = { m: 1024, n: 1024, k: 1024 },
  repetitions = 21,
): Promise<GemmComparison | undefined> {
  const library = findOpenBlas();
  if (!library) return undefined;
  library.func('void openblas_set_num_threads(int threads)')(threads);
  const sgemm = library.func(
    `void cblas_sgemm(int order, int transA, int transB, int m, int n, int k, float alpha, uint64_t a, int lda, uint64_t b, int ldb,
      float beta, uint64_t c, int ldc)`,
  ) as (...args: number[]) => void;

  const [a, b, c] = [m * k, n * k, m * n].map((length) => numbers(backend, length)) as [Span, Span, Span];
  const args: GemmArgs = { m, n, k, a, b: { kind: 'dense', rows: n, cols: k, data: b }, transB: true, c };
  const addresses = { a: address(a), b: address(b), c: address(c) };
  const runs: { ours: number; openblas: number }[] = [];
  for (let i = 0; i <= repetitions; i++) {
    const ours = await seconds(backend, () => backend.kernels.gemm(args));
    const openblas = await seconds(backend, () =>
      sgemm(ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1, addresses.a, k, addresses.b, k, 0, addresses.c, n),
    );
    if (i > 0) runs.push({ ours, openblas });
  }
  for (const span of [a, b, c]) backend.free(span.buffer);

  const billions = (2 * m * n * k) / 1e9;
  return {
    m,
    n,
    k,
    ours: billions / median(runs.map((r) => r.ours)),
    openblas: billions / median(runs.map((r) => r.openblas)),
    ratio: median(runs.map((r) => r.openblas / r.ours)),
  };
}

/** Seconds that a call takes, with what it enqueues. */
export async function seconds(backend: Backend, call: () => void): Promise<number> {
  await backend.synchronize();
  const start = performance.now();
  call();
  await backend.synchronize();
  return (performance.now() - start) / 1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A fresh span of numbers in [-0.5, 0.5). */
export function numbers(backend: Backend, length: number): Span {
  const span: Span = { buffer: backend.alloc(4 * length), offset: 0, dtype: 'f32', length };
  backend.upload(
    Float32Array.from({ length }, (_, i) => ((i * 7919) % 1013) / 1013 - 0.5),
    span,
  );
  return span;
}

function findOpenBlas(): LibraryHandle | undefined {
  for (const name of ['libopenblas.so.0', 'libopenblas.so', 'libopenblas.dylib'])
    try {
      return load(name);
    } catch {
      // Not under this name.
    }
  return undefined;
}
