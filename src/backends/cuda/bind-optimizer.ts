/** The gradient's norm, its clipping, and AdamW, whose powers of beta are the host's, in double precision. */

import type { Kernels } from '../kernels.js';
import { aligned, argumentsOf, BLOCK, elementGrid } from './arguments.js';
import type { CudaDevice } from './device.js';

/** Elements whose squares a block adds up. */
const CHUNK = 8192;

export function bindOptimizer(device: CudaDevice): Pick<Kernels, 'sumSquares' | 'clipCoefficient' | 'adamw'> {
  const parts = device.kernel('optimizer', 'ww_sum_squares_parts', 'plpii');
  const sum = device.kernel('optimizer', 'ww_sum_squares', 'pipi');
  const clip = device.kernel('optimizer', 'ww_clip_coefficient', 'pdp');
  const adamw = device.kernel('optimizer', 'ww_adamw', 'pppplffffffffpi');

  return {
    sumSquares({ x, n, out, accumulate }) {
      const take = argumentsOf('sumSquares');
      const [from, to] = [take('x', x, n, 'f32'), take('out', out, 1, 'f32')];
      const count = Math.ceil(n / CHUNK);
      device.withScratch(8 * Math.max(1, count), (at) => {
        parts.launch([count, 1, 1], BLOCK, 0, from, n, at, CHUNK, aligned(from));
        sum.launch([1, 1, 1], BLOCK, 0, at, count, to, accumulate ? 1 : 0);
      });
    },
    clipCoefficient({ sumSquares, maxNorm, out }) {
      const take = argumentsOf('clipCoefficient');
      const from = take('sumSquares', sumSquares, 1, 'f32');
      clip.launch([1, 1, 1], 1, 0, from, maxNorm, take('out', out, 1, 'f32'));
    },
    adamw({ param, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale }) {
      const take = argumentsOf('adamw');
      const spans = Object.entries({ param, grad, m, v });
      const at = spans.map(([name, span]) => take(name, span, n, 'f32'));
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
        take('gradScale', gradScale, 1, 'f32'),
        vector,
      );
    },
  };
}
