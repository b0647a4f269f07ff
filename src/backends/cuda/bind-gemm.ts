/**
 * The matrix product, handed to whoever does it best: decoding's few rows to our kernels, the rest to cuBLASLt
 * in the activations' type, weights of another type being unpacked into scratch memory first. Thin products and biases stand in c before
 * it, so that the library adds its result to them (beta = 1).
 */

import { BYTES_PER_ELEMENT, type DType, type RowGroup, type Span } from '../span.js';
import type { GemmArgs, Kernels } from '../kernels.js';
import { bandsOf } from '../gemm.js';
import type { Prepare } from './bind-thin.js';
import type { Blas } from './blas.js';
import { address, type CudaDevice } from './device.js';

type Type = 'f32' | 'bf16';

interface Parts {
  readonly blas: Blas;
  /** Products of few rows (`path: 'rows'`). */
  readonly rows: { supports(args: GemmArgs): boolean; gemmRows(products: readonly GemmArgs[]): void };
  readonly prepare: Prepare;
  readonly dequantizeNf4: Kernels['dequantizeNf4'];
  readonly convert: Kernels['convert'];
}

/** Ranks that `prepare` takes. */
const THIN = 64;

export function bindGemm(device: CudaDevice, parts: Parts): Pick<Kernels, 'gemm' | 'gemms'> {
  const { blas, rows, prepare } = parts;

  /** Calls `use` with the address of n elements of `span` in `type`: its own, or of a copy. */
  function as(type: Type, span: Span, n: number, use: (at: number) => void): void {
    if (span.dtype === type) use(address(span));
    else
      device.withScratch(n * BYTES_PER_ELEMENT[type], (at) => {
        parts.convert({ x: span, y: spanAt(at, type, n), n });
        use(at);
      });
  }

  function right({ b }: GemmArgs, type: Type, use: (at: number) => void): void {
    const n = b.rows * b.cols;
    if (b.kind === 'dense') as(type, b.data, n, use);
    else if (b.dense?.data.dtype === type) use(address(b.dense.data));
    else
      device.withScratch(n * BYTES_PER_ELEMENT[type], (at) => {
        parts.dequantizeNf4({ w: b, y: spanAt(at, type, n) });
        use(at);
      });
  }

  /** Puts into a run's rows of c what is added to its product. */
  function prepareRun(args: GemmArgs, type: Type, run: Run): void {
    const { n, c, transA = false, transB = false, bias } = args;
    const residual = addedOf(args);
    for (const { first, rows, extra } of bandsOf(args)) {
      const start = Math.max(first, run.first);
      const end = Math.min(first + rows, run.first + run.rows * run.count);
      const count = end - start;
      if (count <= 0) continue;
      const band = (span: Span): Span => part(span, start * n, count * n);
      const to = band(c);
      const parts = { residual: residual && band(residual), bias, transB };
      if (!extra || (extra.k <= THIN && !transA)) {
        prepare(to, count, n, { ...parts, extra });
        continue;
      }
      if (bias) prepare(to, count, n, parts);
      const from = bias ? to : parts.residual;
      as(type, extra.b, n * extra.k, (b) =>
        blas.matmul({
          ...{ m: count, n, k: extra.k, transA, transB, type, a: address(extra.a), b, alpha: extra.alpha },
          ...{ c: address(from ?? to), d: address(to), outputType: floating(to), beta: from ? 1 : 0 },
        }),
      );
    }
  }

  const ofRows = (args: GemmArgs): boolean => args.path === 'rows' && rows.supports(args);

  function large(args: GemmArgs): void {
    const { n, k, a, c, transA = false, transB = false, alpha = 1 } = args;
    const type = floating(a);
    const runs = runsOf(args);
    for (const run of runs) if (run.prepared) prepareRun(args, type, run);
    right(args, type, (b) => {
      for (const { first, rows, count, prepared } of runs) {
        const from = prepared ? c : addedOf(args);
        const into = (span: Span): number => address(part(span, first * n, rows * count * n));
        blas.matmul({
          ...{ m: rows, parts: count, n, k, transA, transB, type, b, alpha },
          a: address(part(a, first * k, rows * count * k)),
          ...{ c: into(from ?? c), d: into(c), outputType: floating(c), beta: from ? 1 : 0 },
        });
      }
    });
  }

  function gemms({ products }: { products: readonly GemmArgs[] }): void {
    const all = products.filter(({ m, n }) => m > 0 && n > 0);
    rows.gemmRows(all.filter(ofRows));
    for (const product of all) if (!ofRows(product)) large(product);
  }

  return { gemm: (args) => gemms({ products: [args] }), gemms };
}

/** Rows that one call of the library computes. */
interface Run extends RowGroup {
  /** Whether something stands in c before; else the library takes what is added from where it is: it rounds otherwise where that is c. */
  readonly prepared: boolean;
}

/** Groups, divided where rows with something of their own to add stand beside others without: each gets what it gets alone. */
function runsOf(args: GemmArgs): Run[] {
  const { m, extra = [], bias, groups = [{ first: 0, rows: m, count: 1 }] } = args;
  const runs: Run[] = [];
  for (const { first, rows, count } of groups)
    for (let i = 0; i < count; i++) {
      const start = first + i * rows;
      const own = extra.some((thin) => thin.first < start + rows && start < thin.first + thin.rows);
      const prepared = own || bias !== undefined;
      const last = runs.at(-1);
      if (i > 0 && last?.prepared === prepared) runs[runs.length - 1] = { ...last, count: last.count + 1 };
      else runs.push({ first: start, rows, count: 1, prepared });
    }
  return runs;
}

/** What is added to the large product, wherever it stands. */
function addedOf({ residual, accumulate = false, c }: GemmArgs): Span | undefined {
  return residual ?? (accumulate ? c : undefined);
}

/** Elements first … first + length - 1. */
function part(span: Span, first: number, length: number): Span {
  const { buffer, offset, dtype } = span;
  return { buffer, offset: offset + first * BYTES_PER_ELEMENT[dtype], dtype, length };
}

/** `n` elements of scratch memory. */
function spanAt(at: number, dtype: DType, length: number): Span {
  return { buffer: { bytes: length * BYTES_PER_ELEMENT[dtype], handle: at }, offset: 0, dtype, length };
}

function floating(span: Span): Type {
  if (span.dtype !== 'f32' && span.dtype !== 'bf16')
    throw new TypeError(`gemm: activations are f32 or bf16, not ${span.dtype}`);
  return span.dtype;
}
