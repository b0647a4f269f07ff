/** Kernels that treat each element alone: sums, scaling, copies. Those with a formula of their own: bind-activation.ts, bind-random.ts. */

import { BYTES_PER_ELEMENT } from '../span.js';
import type { Kernels } from '../kernels.js';
import { aligned, BLOCK, byActivation, elementGrid, family, lanes, unitOf } from './arguments.js';
import { address, type CudaDevice } from './device.js';

export function bindElementwise(device: CudaDevice): Pick<Kernels, 'add' | 'scale' | 'copy' | 'fill'> {
  const add = byActivation(device, 'elementwise', 'ww_add', 'pppli');
  const scale = byActivation(device, 'elementwise', 'ww_scale', 'pplfi');
  const fill = byActivation(device, 'elementwise', 'ww_fill', 'plfi');
  const copy = family(device, 'elementwise', 'ww_copy', 'ppl', (UNIT) => ({ UNIT }));

  return {
    add({ a, b, y, n }) {
      const { dtype } = y;
      const at = [address(a), address(b), address(y)];
      const vector = aligned(...at);
      add(dtype).launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    scale({ x, y, n, alpha }) {
      const { dtype } = y;
      const at = [address(x), address(y)];
      const vector = aligned(...at);
      scale(dtype).launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, alpha, vector);
    },
    copy({ x, y, n }) {
      const at = [address(x), address(y)];
      const bytes = n * BYTES_PER_ELEMENT[y.dtype];
      const unit = unitOf(...at);
      copy(unit.type).launch(elementGrid(bytes, unit.bytes, 1), BLOCK, 0, ...at, bytes);
    },
    fill({ y, n, value }) {
      const at = address(y);
      const vector = aligned(at);
      fill(y.dtype).launch(elementGrid(n, lanes(y.dtype), vector), BLOCK, 0, at, n, value, vector);
    },
  };
}
