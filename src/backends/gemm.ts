/** What the backends' matrix products share: the check of their arguments, and their rows by what is added to them. */

import type { Span } from './contract.js';
import type { GemmArgs, ThinProduct } from './kernels.js';

/** Rows first … first + count · rows - 1: `count` times as many that one training brings to a pass. */
export interface RowGroup {
  readonly first: number;
  readonly rows: number;
  readonly count: number;
}

/** Rows of a product: a thin one's, or such that have none. */
export interface Band {
  readonly first: number;
  readonly rows: number;
  readonly extra?: ThinProduct;
}

/** All rows of a product, in order. */
export function bandsOf({ m, extra = [] }: Pick<GemmArgs, 'm' | 'extra'>): Band[] {
  const bands: Band[] = [];
  let at = 0;
  for (const thin of extra) {
    const { first, rows } = thin;
    if (first > at) bands.push({ first: at, rows: first - at });
    bands.push({ first, rows, extra: thin });
    at = first + rows;
  }
  if (at < m || bands.length === 0) bands.push({ first: at, rows: m - at });
  return bands;
}

/** Sizes that do not fit would read or write foreign memory: a fault of the caller, told before it happens. */
export function checkGemm(g: GemmArgs): void {
  const { m, n, k, b, extra = [] } = g;
  const [rows, cols] = g.transB ? [n, k] : [k, n];
  if (b.rows !== rows || b.cols !== cols)
    throw new RangeError(`gemm: b is [${b.rows}, ${b.cols}], the product wants [${rows}, ${cols}]`);
  if (g.groups) checkGroups(g.groups, g);
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
  let end = 0;
  for (const thin of extra) {
    if (thin.first < end || thin.first + thin.rows > m)
      throw new RangeError(
        `gemm: extra has rows ${thin.first} to ${thin.first + thin.rows} behind ${end} of ${m}`,
      );
    end = thin.first + thin.rows;
    fits('extra.a', thin.a, thin.rows * thin.k);
    fits('extra.b', thin.b, n * thin.k);
  }
}

function checkGroups(groups: readonly RowGroup[], { m, transA }: GemmArgs): void {
  if (transA) throw new RangeError('gemm: groups exclude transA');
  const ends = groups.map(({ first, rows, count }) => first + rows * count);
  if (ends.at(-1) !== m || groups.some(({ first }, i) => first !== (ends[i - 1] ?? 0)))
    throw new RangeError(
      `gemm: groups end at ${ends.join(', ')} of ${m} rows, each begins where the one before ends`,
    );
}
