/**
 * The contract's table of kernels once more, as what their arguments may be: types, least lengths, ranges. A kernel or an argument that
 * is missing here does not compile. `rows * cols` of sizes that are no sensible product of each other is larger than any span, so that no
 * product needs a check of its own.
 */

import { PRODUCTS } from './products.js';
import { ROWS } from './rows.js';
import type { Signatures } from './shapes.js';
export { DENSE, NF4 } from './shapes.js';

export const SIGNATURES: Signatures = { ...PRODUCTS, ...ROWS };
