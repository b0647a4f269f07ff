/** Products of few rows with a Linear's weight, for decoding: which of them our kernel takes, and how it is laid out on the device. */

import type { GemmArgs } from '../kernels.js';
import { nf4Addresses, typeName } from './bind-nf4.js';
import type { Prepare } from './bind-thin.js';
import { bindTiles, together, WEIGHTS } from './bind-tiles.js';
import { address, type CudaDevice } from './device.js';

/** Rows of x that one pass of `ww_matvec` over the weight serves, and how many rows of the weight a warp takes then. */
const PLANS = [
  { most: 1, perWarp: 4 },
  { most: 2, perWarp: 4 },
  { most: 4, perWarp: 2 },
  { most: 8, perWarp: 2 },
] as const;
/** The same of `ww_nf4_rows`, on tensor cores. */
const tileRows = (m: number): number => (m <= 8 ? 8 : 16);

/** The size of nf4-rows.cu's Shared. */
const nf4Shared = (rows: number): number =>
  4 * (256 * 32 + WEIGHTS * 257 + 2 * 8 * 16 * rows) + 8 * 3 * 16 * 128;

/** Above it a product with unpacked weights is faster: of packed ones (but see bind-tiles.ts), and of dense ones. */
const MOST_ROWS = { packed: 16, dense: 8 } as const;
const WARPS = 8;
/** Warps on a multiprocessor that keep enough reads under way. */
const BUSY = 24;

export function bindRows(
  device: CudaDevice,
  prepare: Prepare,
): {
  supports(args: GemmArgs): boolean;
  /** Products that are supported; those with one x in few launches, where that is known how to. */
  gemmRows(products: readonly GemmArgs[]): void;
} {
  const tiles = bindTiles(device, prepare);

  return {
    supports(args) {
      const { m, k, a, b, c, transA, transB, residual } = args;
      const [extra] = args.extra ?? [];
      if (transA || !transB || (extra && extra.rows < m)) return false;
      const packed = b.kind === 'nf4';
      if (m > (packed ? MOST_ROWS.packed : MOST_ROWS.dense) && !tiles.supports(args)) return false;
      const operands = [a, packed ? b.packed : b.data];
      if (operands.some((span) => address(span) % 16 !== 0) || k % (packed ? 64 : 8) !== 0) return false;
      return (
        c.dtype === (residual ?? c).dtype && a.dtype === (extra?.a ?? a).dtype && extra?.b.dtype !== 'bf16'
      );
    },
    gemmRows(products) {
      tiles.run(products.filter((p) => tiles.supports(p)));
      const others = products.filter((p) => !tiles.supports(p));
      for (const group of together(others.filter((p) => onTensorCores(device, p)))) packedRows(device, group);
      for (const product of others) if (!onTensorCores(device, product)) single(device, product);
    },
  };
}

/** Whether `packedRows` takes a product. */
function onTensorCores(device: CudaDevice, { m, n, k, a, b }: GemmArgs): boolean {
  return (
    b.kind === 'nf4' &&
    a.dtype === 'bf16' &&
    device.capability >= 80 &&
    device.sharedPerBlock >= nf4Shared(tileRows(m)) &&
    n % 16 === 0 &&
    k % 256 === 0
  );
}

/** Up to WEIGHTS products with NF4 weights and one x, on tensor cores: ww_nf4_rows. */
function packedRows(device: CudaDevice, products: readonly GemmArgs[]): void {
  const [{ m, k, a, b, c, alpha = 1 }] = products as [GemmArgs];
  const weights = products.map((p) => {
    const { n, bias, residual, accumulate } = p;
    const [extra] = p.extra ?? [];
    if (p.b.kind !== 'nf4') throw new TypeError('gemm: packed rows of a dense weight');
    const added = residual ?? (accumulate ? p.c : undefined);
    const spans = [...nf4Addresses(p.b), address(p.c), bias ? address(bias) : 0, added ? address(added) : 0];
    const thin = extra ? [address(extra.a), address(extra.b)] : [0, 0];
    return [...spans, ...thin, n, extra?.k ?? 0, extra?.alpha ?? 0];
  });
  const none = Array<number>(13).fill(0);
  const rows = tileRows(m);
  const nested = b.kind === 'nf4' && b.nested ? 1 : 0;
  const types = { ACTIVATION: typeName(a, 'gemm'), OUT: typeName(c, 'gemm') };
  const parameters = `p${'pppppppppplif'.repeat(WEIGHTS)}iif`;
  const kernel = device.kernel('nf4-rows', 'ww_nf4_rows', parameters, {
    ...types,
    NESTED: nested,
    ROWS: rows,
  });
  const groups = products.reduce((sum, { n }) => sum + n / 16, 0);
  // Two blocks a multiprocessor.
  const grid = [Math.min(groups, 2 * device.multiprocessors), 1, 1] as const;
  const spans = [...weights, ...Array<number[]>(WEIGHTS - weights.length).fill(none)].flat();
  kernel.launch(grid, WARPS * 32, nf4Shared(rows), address(a), ...spans, m, k, alpha);
}

/** Any product of few rows, in plain f32 arithmetic: ww_matvec. */
function single(device: CudaDevice, args: GemmArgs): void {
  const { m, n, k, a, b, c, alpha = 1, bias, residual, accumulate } = args;
  const [extra] = args.extra ?? [];
  const packed = b.kind === 'nf4';
  const weight = packed ? nf4Addresses(b) : [address(b.data), 0, 0, 0, 0];
  const added = residual ?? (accumulate ? c : undefined);
  const spans = [
    ...[address(a), ...weight, address(c), bias ? address(bias) : 0, added ? address(added) : 0],
    ...[extra ? address(extra.a) : 0, extra ? address(extra.b) : 0],
  ];
  const sizes = [m, n, k, extra?.k ?? 0, alpha, extra?.alpha ?? 0];
  const PARAMETERS = 'ppppppppppp' + 'iiiiff';
  const types = { ACTIVATION: typeName(a, 'gemm'), OUT: typeName(c, 'gemm') };
  const nested = packed && b.nested ? 1 : 0;
  const { most, perWarp } = PLANS.find((p) => m <= p.most) ?? PLANS.at(-1)!;
  const kernel = device.kernel('matvec', 'ww_matvec', PARAMETERS + 'i', {
    ...{ ...types, NESTED: nested, PACKED: packed ? 1 : 0, M: most, R: perWarp },
    WEIGHT: packed ? 'bf16' : typeName(b.data, 'gemm'),
  });
  const steps = Math.ceil(k / (32 * (packed ? 32 : 8)));
  const groups = Math.ceil(n / perWarp);
  const splits = splitsOf(groups, steps, device.multiprocessors * BUSY);
  const grid = [Math.ceil(groups / (WARPS / splits)), Math.ceil(m / most), 1] as const;
  kernel.launch(grid, WARPS * 32, 0, ...spans, ...sizes, splits);
}

/** Warps of a block that share a sum of so many steps, so that `busy` warps have work. */
function splitsOf(groups: number, steps: number, busy: number): number {
  let splits = 1;
  while (splits < WARPS && splits < steps && groups * splits < busy) splits *= 2;
  return splits;
}
