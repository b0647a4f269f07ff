/** The matrix product and the conversions of weights as entries of the contract's table. */

import type { Matrix } from '../span.js';
import type { GemmArgs, Kernels } from '../kernels.js';
import { type Band, bandsOf } from '../gemm.js';
import { DTYPE_CODE, address } from './library.js';
import type { Queue } from './queue.js';

export type GemmKernels = Pick<
  Kernels,
  'gemm' | 'gemms' | 'quantizeNf4' | 'quantizeScales' | 'dequantizeNf4' | 'convert'
>;

/** Beside the codes of the plain types (gemm.h). */
const NF4_CODE = 5;

/** Binds gemm.c, rows.c, amx.c and nf4.c. Where bfloat16 would be slower, products that ask for it are computed in float32. */
export function bindGemm(queue: Queue): GemmKernels {
  const product = queue.kernel('ww_gemm');
  const quantize = queue.kernel('ww_quantize_nf4');
  const quantizeScales = queue.kernel('ww_quantize_scales');
  const dequantize = queue.kernel('ww_dequantize_nf4');
  const convert = queue.kernel('ww_convert');

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
      bands.length,
      g.bias ? address(g.bias) : 0,
      g.residual ? address(g.residual) : g.accumulate ? address(g.c) : 0,
      Number(g.path === 'rows'),
      Number(g.precision === 'bf16'),
      ...bands.flatMap(numbersOf),
    );
  }

  return {
    gemm,
    gemms: ({ products }) => products.forEach(gemm),
    quantizeNf4({ x, n, packed, absmax }) {
      quantize(address(x), DTYPE_CODE[x.dtype], n, address(packed), address(absmax));
    },
    quantizeScales({ absmax, n, map, codes, scales, offset }) {
      quantizeScales(...[address(absmax), n], ...[map, codes, scales, offset].map(address));
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
