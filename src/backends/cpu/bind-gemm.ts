/** The matrix product and the conversions of weights as entries of the contract's table. */

import { quantizeScales } from '../../util/double-quant.js';
import type { Matrix } from '../contract.js';
import type { GemmArgs, Kernels } from '../kernels.js';
import { type Band, bandsOf } from '../gemm.js';
import { DTYPE_CODE, address, bytesOf, declare, floatsOf, type Library } from './library.js';

export type GemmKernels = Pick<
  Kernels,
  'gemm' | 'gemms' | 'quantizeNf4' | 'quantizeScales' | 'dequantizeNf4' | 'convert'
>;

/** Beside the codes of the plain types (gemm.h). */
const NF4_CODE = 5;

/** Binds gemm.c, rows.c, amx.c and nf4.c. Where bfloat16 would be slower, products that ask for it are computed in float32. */
export function bindGemm(library: Library): GemmKernels {
  const scales = 'uint64_t absmax, uint64_t nestedAbsmax, uint64_t map, uint64_t offset';
  const product = declare(
    library,
    `void ww_gemm(int64_t m, int64_t n, int64_t k, uint64_t a, int transA, uint64_t b, int bType, ${scales}, int transB,
      uint64_t c, float alpha, const double *bands, int64_t bandCount, uint64_t bias, uint64_t add, int rows, int bf16)`,
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
  function gemm(g: GemmArgs): void {
    const { b } = g;
    const bands = bandsOf(g);
    product(
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
      // Numbers up to 2⁵³, which addresses are.
      Float64Array.from(bands.flatMap(numbersOf)),
      bands.length,
      g.bias ? address(g.bias) : 0,
      g.residual ? address(g.residual) : g.accumulate ? address(g.c) : 0,
      Number(g.path === 'rows'),
      Number(g.precision === 'bf16'),
    );
  }

  return {
    gemm,
    gemms: ({ products }) => products.forEach(gemm),
    quantizeNf4({ x, n, packed, absmax }) {
      quantize(address(x), DTYPE_CODE[x.dtype], n, address(packed), address(absmax));
    },
    quantizeScales(args) {
      const { codes, scales, offset } = quantizeScales(
        floatsOf(args.absmax).subarray(0, args.n),
        floatsOf(args.map).subarray(0, 256),
      );
      bytesOf(args.codes).set(codes);
      floatsOf(args.scales).set(scales);
      floatsOf(args.offset)[0] = offset;
    },
    dequantizeNf4({ w, y }) {
      dequantize(address(w.packed), ...scalesOf(w), address(y), DTYPE_CODE[y.dtype], w.rows * w.cols);
    },
    convert({ x, y, n }) {
      convert(address(x), DTYPE_CODE[x.dtype], address(y), DTYPE_CODE[y.dtype], n);
    },
  };
}

/** A band as gemm.c reads it. */
function numbersOf({ first, rows, extra }: Band): number[] {
  return extra
    ? [first, rows, extra.k, address(extra.a), address(extra.b), extra.alpha]
    : [first, rows, 0, 0, 0, 0];
}

function scalesOf(w: Matrix): [absmax: number, nestedAbsmax: number, map: number, offset: number] {
  if (w.kind === 'dense') return [0, 0, 0, 0];
  const { absmax, nested } = w;
  if (!nested) return [address(absmax), 0, 0, 0];
  return [address(absmax), address(nested.absmax), address(nested.map), address(nested.offset)];
}
