/** Products of 17 to 64 rows with weights in NF4 on Hopper's tensor cores (nf4-tile.cu): which they are, and how they are laid out. */

import type { GemmArgs } from '../kernels.js';
import { cType, keyedFamily } from './arguments.js';
import { nf4Addresses } from './bind-nf4.js';
import type { Prepare } from './bind-thin.js';
import { address, type CudaDevice } from './device.js';

/** nf4-tile.cu: rows of x at most, what n and k are multiples of, its threads, the weights of a launch (nf4-rows.cu's, too), its Shared. */
const X_ROWS = 64;
const SIZE = 256;
const THREADS = 512;
export const WEIGHTS = 3;
const SHARED = 3 * (4 * 64 * 128 + 256 * 128) + 4 * (256 * 32 + 256) + 2 * 3 * 8;
/** Above it unpacked weights are slower; below, packed ones on older tensor cores faster. */
const LEAST_ROWS = 17;
/** Of LoRA, that `prepare` takes. */
const MOST_RANK = 64;

export interface Tiles {
  supports(args: GemmArgs): boolean;
  /** Products that are supported, as few launches as may be: neighbours with one x in one. */
  run(products: readonly GemmArgs[]): void;
}

export function bindTiles(device: CudaDevice, prepare: Prepare): Tiles {
  const layOut = keyedFamily(device, 'nf4-tile', 'ww_nf4_tile_x', 'ppii');
  const tile = keyedFamily(device, 'nf4-tile', 'ww_nf4_tile', `p${'pppppppl'.repeat(WEIGHTS)}ppiif`);

  /** What is added to a product, in memory before it: where, if anything is. */
  function before({ m, n, c, extra, bias, residual, accumulate }: GemmArgs): number {
    const from = residual ?? (accumulate ? c : undefined);
    if (!extra?.length && !bias) return from ? address(from) : 0;
    prepare(c, m, n, { residual: from, bias, extra: extra?.[0], transB: true });
    return address(c);
  }

  function launch(products: readonly GemmArgs[]): void {
    const [{ m, k, a, b, c, alpha = 1 }] = products as [GemmArgs];
    const weights = products.map((p) => {
      if (p.b.kind !== 'nf4') throw new TypeError('gemm: tiles of a dense weight');
      return [...nf4Addresses(p.b), address(p.c), before(p), p.n];
    });
    const none = [0, 0, 0, 0, 0, 0, 0, 0];
    const spans = [...weights, ...Array<number[]>(WEIGHTS - weights.length).fill(none)].flat();
    const tiles = products.reduce((sum, { n }) => sum + n / SIZE, 0);
    const depth = k / SIZE;
    // As few slices as give a block no more than the most would.
    const most = Math.min(depth, Math.max(1, Math.floor(device.multiprocessors / tiles)));
    const slices = Math.ceil(depth / Math.ceil(depth / most));
    const defines = { NESTED: b.kind === 'nf4' && b.nested ? 1 : 0, OUT: cType(c.dtype) };
    device.withScratch(k * X_ROWS * 2, (image) => {
      layOut(defines).launch([k / 32, 1, 1], SIZE, 0, address(a), image, m, k);
      device.withScratch(slices > 1 ? tiles * slices * X_ROWS * SIZE * 4 : 0, (parts) => {
        const sizes = [m, k, alpha];
        const at = [image, ...spans, parts, device.arrivals.at];
        tile(defines).launch([slices, tiles, 1], THREADS, SHARED, ...at, ...sizes);
      });
    });
  }

  return {
    supports({ m, n, k, a, b, c, extra }) {
      return (
        m >= LEAST_ROWS &&
        m <= X_ROWS &&
        b.kind === 'nf4' &&
        a.dtype === 'bf16' &&
        device.capability === 90 &&
        device.sharedPerBlock >= SHARED &&
        n % SIZE === 0 &&
        k % SIZE === 0 &&
        address(c) % 8 === 0 &&
        (extra?.[0]?.k ?? 0) <= MOST_RANK &&
        (WEIGHTS * n) / SIZE <= device.arrivals.count
      );
    },
    run(products) {
      for (const group of together(products)) launch(group);
    },
  };
}

/** Neighbours that one launch may do: of one x, as many as a kernel takes weights. */
export function together(products: readonly GemmArgs[]): readonly (readonly GemmArgs[])[] {
  const groups: GemmArgs[][] = [];
  for (const product of products) {
    const last = groups.at(-1);
    if (last && last.length < WEIGHTS && alike(last[0]!, product)) last.push(product);
    else groups.push([product]);
  }
  return groups;
}

/** Whether one launch may do both. */
function alike(p: GemmArgs, q: GemmArgs): boolean {
  const nested = ({ b }: GemmArgs): boolean => b.kind === 'nf4' && b.nested !== undefined;
  return (
    address(p.a) === address(q.a) &&
    p.m === q.m &&
    p.k === q.k &&
    p.c.dtype === q.c.dtype &&
    (p.alpha ?? 1) === (q.alpha ?? 1) &&
    nested(p) === nested(q)
  );
}
