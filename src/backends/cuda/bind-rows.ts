/** Products of few rows with a Linear's weight, for decoding: which of them our kernel takes, and how it is laid out on the device. */

import type { GemmArgs } from '../contract.js';
import { nf4Addresses, typeName } from './bind-nf4.js';
import { address, type CudaDevice } from './device.js';

/** Rows of x that one pass over the weight serves, and how many rows of the weight a warp takes then. */
const PLANS = [
  { most: 1, perWarp: 4 },
  { most: 2, perWarp: 4 },
  { most: 4, perWarp: 2 },
  { most: 8, perWarp: 2 },
] as const;

/** Above it a product with unpacked weights is faster than passes over packed ones. */
const MOST_ROWS = 16;
const WARPS = 8;
/** Warps on a multiprocessor that keep enough reads under way. */
const BUSY = 24;

export function bindRows(device: CudaDevice): {
  supports(args: GemmArgs): boolean;
  gemmRows(args: GemmArgs): void;
} {
  return {
    supports({ m, k, a, b, c, transA, transB, extra, residual }) {
      if (transA || !transB) return false;
      const packed = b.kind === 'nf4';
      if (m > (packed && !b.dense ? MOST_ROWS : PLANS.at(-1)!.most)) return false;
      const operands = [a, packed ? b.packed : b.data];
      if (operands.some((span) => address(span) % 16 !== 0) || k % (packed ? 64 : 8) !== 0) return false;
      return (
        c.dtype === (residual ?? c).dtype && a.dtype === (extra?.a ?? a).dtype && extra?.b.dtype !== 'bf16'
      );
    },
    gemmRows({ m, n, k, a, b, c, alpha = 1, extra, bias, residual, accumulate }) {
      const packed = b.kind === 'nf4';
      const plan = PLANS.find((p) => m <= p.most) ?? PLANS.at(-1)!;
      const { most, perWarp } = plan;
      const kernel = device.kernel('matvec', 'ww_matvec', 'ppppppppppp' + 'iiiiffi', {
        ACTIVATION: typeName(a, 'gemm'),
        OUT: typeName(c, 'gemm'),
        PACKED: packed ? 1 : 0,
        NESTED: packed && b.nested ? 1 : 0,
        WEIGHT: packed ? 'bf16' : typeName(b.data, 'gemm'),
        M: most,
        R: perWarp,
      });
      const weight = packed ? nf4Addresses(b) : [address(b.data), 0, 0, 0, 0];
      const steps = Math.ceil(k / (32 * (packed ? 32 : 8)));
      const groups = Math.ceil(n / perWarp);
      let splits = 1;
      while (splits < WARPS && splits < steps && groups * splits < device.multiprocessors * BUSY) splits *= 2;
      const added = residual ?? (accumulate ? c : undefined);
      kernel.launch(
        [Math.ceil(groups / (WARPS / splits)), Math.ceil(m / most), 1],
        WARPS * 32,
        0,
        address(a),
        ...weight,
        address(c),
        bias ? address(bias) : 0,
        added ? address(added) : 0,
        extra ? address(extra.a) : 0,
        extra ? address(extra.b) : 0,
        ...[m, n, k, extra?.k ?? 0, alpha, extra?.alpha ?? 0, splits],
      );
    },
  };
}
