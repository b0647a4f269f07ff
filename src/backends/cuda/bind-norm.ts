/** Both norms and their gradients. */

import type { Kernels } from '../kernels.js';
import { aligned, BLOCK, byActivation, lanes, rowBlock } from './arguments.js';
import { bindSumOver, SUM_CHUNK } from './bind-reduce.js';
import { address, type CudaDevice, type Grid } from './device.js';

/** How RMS norm lays rows of so many units on blocks: a block a row, or a warp a row where a row has no more work than that. */
function normLayout(rows: number, units: number): { grid: Grid; threads: number; warps: 0 | 1 } {
  const threads = rowBlock(units, 512);
  if (threads > 32) return { grid: [rows, 1, 1], threads, warps: 0 };
  return { grid: [Math.ceil(rows / (BLOCK / 32)), 1, 1], threads: BLOCK, warps: 1 };
}

export function bindRmsNorm(device: CudaDevice): Pick<Kernels, 'rmsNorm' | 'rmsNormBackward'> {
  const norm = byActivation(device, 'norm', 'ww_rms_norm', 'ppppiiffii');
  const normBackward = byActivation(device, 'norm', 'ww_rms_norm_backward', 'pppppiifiii');
  const normWeight = byActivation(device, 'norm', 'ww_norm_weight_parts', 'ppppiii');
  const sumOver = bindSumOver(device);

  return {
    rmsNorm({ x, w, weightOffset, y, rstd, rows, dim, eps }) {
      const { dtype } = x;
      const [from, to] = [address(x), address(y)];
      const [weight, scale] = [address(w), address(rstd)];
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(from, to, weight) : 0;
      const { grid, threads, warps } = normLayout(rows, dim / width);
      const sizes = [rows, dim, eps, weightOffset];
      norm(dtype).launch(grid, threads, 0, from, weight, to, scale, ...sizes, warps, vector);
    },
    rmsNormBackward({ dy, x, w, weightOffset, rstd, dx, accumulate, dw, rows, dim }) {
      const { dtype } = x;
      const from = [address(dy), address(x)] as const;
      const [weight, scale] = [address(w), address(rstd)];
      const to = address(dx);
      // Before dx, which may take the place of dy.
      if (dw)
        sumOver(rows, dim, address(dw), true, (grid, parts) => {
          normWeight(dtype).launch(grid, BLOCK, 0, ...from, scale, parts, rows, dim, SUM_CHUNK);
        });
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(...from, weight, to) : 0;
      const { grid, threads, warps } = normLayout(rows, dim / width);
      const sizes = [rows, dim, weightOffset];
      const flags = [accumulate ? 1 : 0, warps, vector];
      normBackward(dtype).launch(grid, threads, 0, ...from, weight, scale, to, ...sizes, ...flags);
    },
  };
}

export function bindLayerNorm(device: CudaDevice): Pick<Kernels, 'layerNorm' | 'layerNormBackward'> {
  const layerNorm = byActivation(device, 'layer-norm', 'ww_layer_norm', 'ppppppifi');
  const layerNormBackward = byActivation(device, 'layer-norm', 'ww_layer_norm_backward', 'ppppppiii');
  const layerNormParts = byActivation(device, 'layer-norm', 'ww_layer_norm_parts', 'pppppiii');
  const sumParts = device.kernel('reduce', 'ww_sum_parts', 'ppiii');

  return {
    layerNorm({ x, w, b, y, mean, rstd, rows, dim, eps }) {
      const { dtype } = x;
      const from = address(x);
      const parameters = [address(w), address(b)] as const;
      const to = address(y);
      const statistics = [address(mean), address(rstd)] as const;
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(from, to, ...parameters) : 0;
      const at = [from, ...parameters, to, ...statistics];
      layerNorm(dtype).launch([rows, 1, 1], rowBlock(dim / width, 512), 0, ...at, dim, eps, vector);
    },
    layerNormBackward({ dy, x, w, mean, rstd, dx, accumulate, dw, db, rows, dim }) {
      const { dtype } = x;
      const from = [address(dy), address(x)] as const;
      const weight = address(w);
      const statistics = [address(mean), address(rstd)] as const;
      const to = address(dx);
      const gradients = [dw ? address(dw) : 0, db ? address(db) : 0];
      const count = Math.ceil(rows / SUM_CHUNK);
      if (dw || db)
        device.withScratch(2 * Math.max(1, count) * dim * 4, (parts) => {
          const across = Math.ceil(dim / BLOCK);
          const args = [...from, ...statistics, parts, rows, dim, SUM_CHUNK];
          layerNormParts(dtype).launch([across, count, 1], BLOCK, 0, ...args);
          for (const [i, gradient] of gradients.entries()) {
            const part = parts + i * count * dim * 4;
            if (gradient) sumParts.launch([across, 1, 1], BLOCK, 0, part, gradient, count, dim, 1);
          }
        });
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(...from, weight, to) : 0;
      const at = [...from, weight, ...statistics, to];
      const flags = [accumulate ? 1 : 0, vector];
      layerNormBackward(dtype).launch([rows, 1, 1], rowBlock(dim / width, 512), 0, ...at, dim, ...flags);
    },
  };
}
