/** Sums over rows, in two stages: parts of SUM_CHUNK rows each, then the parts. */

import type { Kernels } from '../kernels.js';
import { BLOCK, byActivation } from './arguments.js';
import { address, type CudaDevice, type Grid } from './device.js';

/** Rows that the first stage of a sum over rows adds up. */
export const SUM_CHUNK = 64;

/** y (+)= the sums over rows that `first` puts into parts of SUM_CHUNK rows each, by blocks of columns and of rows. */
type SumOver = (
  rows: number,
  cols: number,
  y: number,
  accumulate: boolean,
  first: (grid: Grid, parts: number) => void,
) => void;

export function bindSumOver(device: CudaDevice): SumOver {
  const sumParts = device.kernel('reduce', 'ww_sum_parts', 'ppiii');

  return (rows, cols, y, accumulate, first) => {
    const count = Math.ceil(rows / SUM_CHUNK);
    const width = Math.ceil(cols / BLOCK);
    device.withScratch(Math.max(1, count) * cols * 4, (parts) => {
      first([width, count, 1], parts);
      sumParts.launch([width, 1, 1], BLOCK, 0, parts, y, count, cols, accumulate ? 1 : 0);
    });
  };
}

export function bindSumRows(device: CudaDevice): Pick<Kernels, 'sumRows'> {
  const sumRows = byActivation(device, 'reduce', 'ww_sum_rows_parts', 'ppiii');
  const sumOver = bindSumOver(device);

  return {
    sumRows({ x, y, rows, cols, accumulate }) {
      const from = address(x);
      sumOver(rows, cols, address(y), accumulate, (grid, parts) => {
        sumRows(x.dtype).launch(grid, BLOCK, 0, from, parts, rows, cols, SUM_CHUNK);
      });
    },
  };
}
