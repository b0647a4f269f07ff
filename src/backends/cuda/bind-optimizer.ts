/** The gradient's norm, its clipping, and AdamW, whose powers of beta are the host's, in double precision. */

import type { Kernels } from '../kernels.js';
import { aligned, BLOCK, elementGrid } from './arguments.js';
import { address, type CudaDevice } from './device.js';

/** Elements whose squares a block adds up. */
const CHUNK = 8192;

export function bindOptimizer(device: CudaDevice): Pick<Kernels, 'sumSquares' | 'clipCoefficient' | 'adamw'> {
  const parts = device.kernel('optimizer', 'ww_sum_squares_parts', 'plpii');
  const sum = device.kernel('optimizer', 'ww_sum_squares', 'pipi');
  const clip = device.kernel('optimizer', 'ww_clip_coefficient', 'pdp');
  const adamw = device.kernel('optimizer', 'ww_adamw', 'pppplffffffffpi');

  return {
    sumSquares({ x, n, out, accumulate }) {
      const [from, to] = [address(x), address(out)];
      const count = Math.ceil(n / CHUNK);
      device.withScratch(8 * Math.max(1, count), (at) => {
        parts.launch([count, 1, 1], BLOCK, 0, from, n, at, CHUNK, aligned(from));
        sum.launch([1, 1, 1], BLOCK, 0, at, count, to, accumulate ? 1 : 0);
      });
    },
    clipCoefficient({ sumSquares, maxNorm, out }) {
      const from = address(sumSquares);
      clip.launch([1, 1, 1], 1, 0, from, maxNorm, address(out));
    },
    adamw({ param, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale }) {
      const at = [param, grad, m, v].map(address);
      const vector = aligned(...at);
      adamw.launch(
        elementGrid(n, 4, vector),
        BLOCK,
        0,
        ...at,
        n,
        lr / (1 - beta1 ** step),
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        Math.sqrt(1 - beta2 ** step),
        eps,
        1 - lr * weightDecay,
        address(gradScale),
        vector,
      );
    },
  };
}
