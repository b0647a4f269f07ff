/** All that draws random numbers, but for LoRA's own dropout (bind-lora.ts). */

import type { Kernels } from '../kernels.js';
import {
  aligned,
  BLOCK,
  blocks,
  byActivation,
  cType,
  elementGrid,
  family,
  keepThreshold,
  lanes,
  randomArguments,
  rowLayout,
} from './arguments.js';
import { address, type CudaDevice } from './device.js';

export function bindRandom(device: CudaDevice): Pick<Kernels, 'dropout' | 'fillNormal' | 'addUniformNoise'> {
  const dropout = byActivation(device, 'random', 'ww_dropout', 'pplufuuulii');
  const noise = byActivation(device, 'random', 'ww_add_uniform_noise', 'ppiiuuuii');
  const fillNormal = family(device, 'random', 'ww_fill_normal', 'plduuu', (OUT) => ({ OUT }));

  return {
    dropout(args) {
      const { x, y, n, random, firstElement, accumulate } = args;
      const { dtype } = y;
      const at = [address(x), address(y)];
      const vector = aligned(...at);
      dropout(dtype).launch(
        elementGrid(n, lanes(dtype), vector),
        BLOCK,
        0,
        ...at,
        n,
        keepThreshold(args),
        1 / (1 - args.p),
        ...randomArguments(random),
        firstElement,
        accumulate ? 1 : 0,
        vector,
      );
    },
    fillNormal({ y, n, deviation, random }) {
      const at = address(y);
      const grid = blocks(Math.ceil(n / 4));
      fillNormal(cType(y.dtype)).launch(grid, BLOCK, 0, at, n, deviation, ...randomArguments(random));
    },
    addUniformNoise({ x, magnitude, rows, dim, random }) {
      const { dtype } = x;
      const at = address(x);
      const by = address(magnitude);
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(at) : 0;
      const { grid, shift } = rowLayout(rows, dim / (vector ? width : 1));
      noise(dtype).launch(grid, BLOCK, 0, at, by, rows, dim, ...randomArguments(random), shift, vector);
    },
  };
}
