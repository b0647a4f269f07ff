/** The matrix product and the conversions of weights as entries of the contract's table. */

import type { GemmArgs, Kernels, Matrix, Span } from '../contract.js';
import { DTYPE_CODE, address, declare, type Library } from './library.js';

export type GemmKernels = Pick<Kernels, 'gemm' | 'quantizeNf4' | 'dequantizeNf4' | 'convert'>;

/** Beside the codes of the plain types (gemm.h). */
const NF4_CODE = 5;

/** Binds gemm.c, rows.c, amx.c and nf4.c. Where bfloat16 would be slower, products that ask for it are computed in float32. */
export function bindGemm(library: Library): GemmKernels {
  const scales = 'uint64_t absmax, uint64_t nestedAbsmax, uint64_t map, float offset';
  const gemm = declare(
    library,
    `void ww_gemm(int64_t m, int64_t n, int64_t k, uint64_t a, int transA, uint64_t b, int bType, ${scales}, int transB,
      uint64_t c, float alpha, uint64_t extraA, uint64_t extraB, int64_t extraK, float extraAlpha, uint64_t bias, uint64_t add,
      int rows, int bf16)`,
  );
  const quantize = declare(
    library,
    'void ww_quantize_nf4(uint64_t x, int xType, int64_t n, uint64_t packed, uint64_t absmax)',
  );
  const dequantize = declare(
    library,
    `void ww_dequantize_nf4(uint64_t packed, ${scales}, uint64_t y, int yType, int64_t n)`,
  );
  const convert = declare(
    library,
    'void ww_convert(uint64_t x, int xType, uint64_t y, int yType, int64_t n)',
  );
  return {
    gemm(g) {
      check(g);
      const { b, extra } = g;
      gemm(
        g.m,
        g.n,
        g.k,
        address(g.a),
        Number(g.transA ?? false),
        address(b.kind === 'nf4' ? b.packed : b.data),
        b.kind === 'nf4' ? NF4_CODE : DTYPE_CODE[b.data.dtype],
        ...scalesOf(b),
        Number(g.transB ?? false),
        address(g.c),
        g.alpha ?? 1,
        extra ? address(extra.a) : 0,
        extra ? address(extra.b) : 0,
        extra?.k ?? 0,
        extra?.alpha ?? 0,
        g.bias ? address(g.bias) : 0,
        g.residual ? address(g.residual) : g.accumulate ? address(g.c) : 0,
        Number(g.path === 'rows'),
        Number(g.precision === 'bf16'),
      );
    },
    quantizeNf4({ x, n, packed, absmax }) {
      quantize(address(x), DTYPE_CODE[x.dtype], n, address(packed), address(absmax));
    },
    dequantizeNf4({ w, y }) {
      dequantize(address(w.packed), ...scalesOf(w), address(y), DTYPE_CODE[y.dtype], w.rows * w.cols);
    },
    convert({ x, y, n }) {
      convert(address(x), DTYPE_CODE[x.dtype], address(y), DTYPE_CODE[y.dtype], n);
    },
  };
}

function scalesOf(w: Matrix): [absmax: number, nestedAbsmax: number, map: number, offset: number] {
  if (w.kind === 'dense') return [0, 0, 0, 0];
  const { absmax, nested } = w;
  if (!nested) return [address(absmax), 0, 0, 0];
  return [address(absmax), address(nested.absmax), address(nested.map), nested.offset];
}

/** Sizes that do not fit would read or write foreign memory: a fault of the caller, told before it happens. */
function check(g: GemmArgs): void {
  const { m, n, k, b, extra } = g;
  const [rows, cols] = g.transB ? [n, k] : [k, n];
  if (b.rows !== rows || b.cols !== cols)
    throw new RangeError(`gemm: b is [${b.rows}, ${b.cols}], the product wants [${rows}, ${cols}]`);
  if (g.residual && g.accumulate) throw new RangeError('gemm: residual excludes accumulate');
  fits('a', g.a, m * k);
  if (b.kind === 'nf4') fits('b', b.packed, Math.ceil((rows * cols) / 2));
  else fits('b', b.data, rows * cols);
  fits('c', g.c, m * n);
  if (g.bias) fits('bias', g.bias, n);
  if (g.residual) fits('residual', g.residual, m * n);
  if (extra) {
    fits('extra.a', extra.a, m * extra.k);
    fits('extra.b', extra.b, n * extra.k);
  }
}

function fits(name: string, span: Span, length: number): void {
  if (span.length < length)
    throw new RangeError(`gemm: ${name} has ${span.length} elements, needs ${length}`);
}
