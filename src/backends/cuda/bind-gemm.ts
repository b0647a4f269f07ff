/**
 * The matrix product, handed to whoever does it best: decoding's few rows to our kernels, the rest to cuBLASLt
 * in the activations' type, weights of another type being unpacked into scratch memory first. What is added to the product stands in c
 * before it, so that the library adds its result to it (beta = 1).
 */

import { BYTES_PER_ELEMENT, type DType, type Span } from '../contract.js';
import type { GemmArgs, Kernels } from '../kernels.js';
import { bandsOf, checkGemm } from '../gemm.js';
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

  /** Puts into c what is added to the product; says from where the product takes it, if anything is. */
  function before(args: GemmArgs, type: Type): Span | undefined {
    const { n, c, transA = false, transB = false, extra = [], bias, accumulate = false } = args;
    const residual = args.residual ?? (accumulate ? c : undefined);
    if (extra.length === 0 && !bias) return residual;
    for (const { first, rows, extra } of bandsOf(args)) {
      const band = (span: Span): Span => part(span, first * n, rows * n);
      const to = band(c);
      const start = { residual: residual && band(residual), bias, transB };
      if (!extra || (extra.k <= THIN && !transA)) {
        prepare(to, rows, n, { ...start, extra });
        continue;
      }
      if (bias) prepare(to, rows, n, start);
      const from = bias ? to : start.residual;
      as(type, extra.b, n * extra.k, (b) =>
        blas.matmul({
          ...{ m: rows, n, k: extra.k, transA, transB, type, a: address(extra.a), b, alpha: extra.alpha },
          ...{ c: address(from ?? to), d: address(to), outputType: floating(to), beta: from ? 1 : 0 },
        }),
      );
    }
    return c;
  }

  const ofRows = (args: GemmArgs): boolean => args.path === 'rows' && rows.supports(args);

  function large(args: GemmArgs): void {
    const { m, n, k, a, c, transA = false, transB = false, alpha = 1 } = args;
    const type = floating(a);
    const from = before(args, type);
    right(args, type, (b) =>
      blas.matmul({
        ...{ m, n, k, transA, transB, type, a: address(a), b, alpha },
        ...{ c: address(from ?? c), d: address(c), outputType: floating(c), beta: from ? 1 : 0 },
      }),
    );
  }

  function gemms({ products }: { products: readonly GemmArgs[] }): void {
    products.forEach(checkGemm);
    const all = products.filter(({ m, n }) => m > 0 && n > 0);
    rows.gemmRows(all.filter(ofRows));
    for (const product of all) if (!ofRows(product)) large(product);
  }

  return { gemm: (args) => gemms({ products: [args] }), gemms };
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
