/** What the backends' matrix products share: the check of their arguments. */

import type { GemmArgs, Span } from './contract.js';

/** Sizes that do not fit would read or write foreign memory: a fault of the caller, told before it happens. */
export function checkGemm(g: GemmArgs): void {
  const { m, n, k, b, extra } = g;
  const [rows, cols] = g.transB ? [n, k] : [k, n];
  if (b.rows !== rows || b.cols !== cols)
    throw new RangeError(`gemm: b is [${b.rows}, ${b.cols}], the product wants [${rows}, ${cols}]`);
  if (g.residual && g.accumulate) throw new RangeError('gemm: residual excludes accumulate');
  const fits = (name: string, span: Span, length: number): void => {
    if (span.length < length)
      throw new RangeError(`gemm: ${name} has ${span.length} elements, needs ${length}`);
  };
  fits('a', g.a, m * k);
  fits(
    'b',
    b.kind === 'nf4' ? b.packed : b.data,
    b.kind === 'nf4' ? Math.ceil((rows * cols) / 2) : rows * cols,
  );
  fits('c', g.c, m * n);
  if (g.bias) fits('bias', g.bias, n);
  if (g.residual) fits('residual', g.residual, m * n);
  if (extra) {
    fits('extra.a', extra.a, m * extra.k);
    fits('extra.b', extra.b, n * extra.k);
  }
}
