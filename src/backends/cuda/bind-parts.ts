/** The last stage of sums that several blocks share. */

import type { Span } from '../span.js';
import { aligned, BLOCK, cType, elementGrid, keyedFamily } from './arguments.js';
import { address, type CudaDevice } from './device.js';

/** to = [from] + alpha · the sum of `count` parts of n f32 elements each, which begin at the address `parts`. */
export type SumParts = (
  parts: number,
  count: number,
  n: number,
  to: Span,
  from: Span | undefined,
  alpha: number,
) => void;

/** Above it a thread adds four neighbours; a shorter sum over many parts is spread over more threads. */
const LONG = 2 ** 20;

export function bindSumParts(device: CudaDevice): SumParts {
  const sumParts = keyedFamily(device, 'parts', 'ww_add_parts', 'ppplifi');
  return (parts, count, n, to, from, alpha) => {
    const at = [from ? address(from) : 0, address(to)];
    const vector = n >= LONG && n % 4 === 0 ? aligned(parts, ...at) : 0;
    const kernel = sumParts({ OUT: cType(to.dtype) });
    kernel.launch(elementGrid(n, 4, vector), BLOCK, 0, parts, ...at, n, count, alpha, vector);
  };
}
