/** What the backends' matrix products share: their rows by what is added to them. */

import type { GemmArgs, ThinProduct } from './kernels.js';

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
