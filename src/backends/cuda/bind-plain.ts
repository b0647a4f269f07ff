/** All kernels that memory's speed limits, but for NF4's: each is as fast as its arrays are read and written once. */

import type { CudaDevice } from './device.js';
import { bindElementwise } from './bind-elementwise.js';
import { bindOptimizer } from './bind-optimizer.js';
import { bindRowsOfTables } from './bind-rows-of-tables.js';

export function bindPlain(
  device: CudaDevice,
): ReturnType<typeof bindElementwise> &
  ReturnType<typeof bindOptimizer> &
  ReturnType<typeof bindRowsOfTables> {
  return { ...bindElementwise(device), ...bindOptimizer(device), ...bindRowsOfTables(device) };
}
