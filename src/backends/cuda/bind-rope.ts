/** Rotary embedding. */

import type { Kernels } from '../kernels.js';
import { aligned, BLOCK, byActivation, lanes, rowLayout } from './arguments.js';
import { address, type CudaDevice } from './device.js';

export function bindRope(device: CudaDevice): Pick<Kernels, 'rope'> {
  const rope = byActivation(device, 'rope', 'ww_rope', 'pppppiiiiiiii');

  return {
    rope({ x, y, cos, sin, positions, rows, heads, headDim, rotaryDim, inverse }) {
      const { dtype } = x;
      const half = rotaryDim / 2;
      const at = [address(x), address(y)] as const;
      const tables = [address(cos), address(sin)] as const;
      const width = lanes(dtype);
      const even = half % width === 0 && headDim % width === 0;
      const vector = even ? aligned(...at, ...tables) : 0;
      const { grid, shift } = rowLayout(rows, (heads * (headDim - half)) / (vector ? width : 1));
      rope(dtype).launch(
        grid,
        BLOCK,
        0,
        ...at,
        ...tables,
        address(positions),
        Math.floor(cos.length / half),
        rows,
        heads,
        headDim,
        half,
        inverse ? 1 : 0,
        shift,
        vector,
      );
    },
  };
}
