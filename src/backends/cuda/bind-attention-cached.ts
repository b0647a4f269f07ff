/** Attention over a key-value cache: the cache's writing, and queries that read it, as a prompt's many rows or as decoding's few. */

import { BYTES_PER_ELEMENT } from '../span.js';
import type { Kernels } from '../kernels.js';
import { aligned, lanes, remembered } from './arguments.js';
import {
  ATTENTION_BLOCK,
  attentionType,
  biasOf,
  flashes,
  variantOf,
  type AttentionTiles,
  type Tiled,
} from './bind-attention-tiles.js';
import { address, type CudaDevice, type Kernel } from './device.js';

type CachedArgs = Parameters<Kernels['attentionCached']>[0];

export function bindCacheWrite(device: CudaDevice): Pick<Kernels, 'cacheWrite'> {
  const once = remembered<Kernel>();

  return {
    cacheWrite(args) {
      const { x, cache, slotOf, positions, rows, slots, capacity } = args;
      const dim = args.kvHeads * args.headDim;
      if (rows === 0) return;
      const defines = { T: attentionType(x.dtype), CACHE: attentionType(cache.dtype) };
      const kernel = once(`${x.dtype} ${cache.dtype}`, () =>
        device.kernel('attention-cached', 'ww_cache_write', 'ppppiiii', defines),
      );
      const at = [address(x), address(cache), address(slotOf), address(positions)];
      const vector = dim % lanes(x.dtype) === 0 ? aligned(address(x), address(cache)) : 0;
      kernel.launch([rows, 1, 1], ATTENTION_BLOCK, 0, ...at, slots, capacity, dim, vector);
    },
  };
}

export function bindAttentionCached(
  device: CudaDevice,
  tiles: AttentionTiles,
): Pick<Kernels, 'attentionCached'> {
  const split = bindSplit(device);

  return {
    attentionCached(args) {
      if (args.rows === 0) return;
      const tiled = tiledOf(device, tiles, args);
      if (tiled) launchTiled(tiled, args);
      else split(args);
    },
  };
}

/** Where rows of one slot, one behind the other, read its keys together: a prompt, not one new row a sequence. */
function tiledOf(device: CudaDevice, { flash }: AttentionTiles, args: CachedArgs): Tiled | undefined {
  const { q, keys, values, out, rows, slots, headDim, bias } = args;
  const prompt = rows >= 64 && rows > 2 * slots;
  if (!prompt || !flashes(device, args, [q.dtype, keys.dtype], [q, keys, values, out].map(address)))
    return undefined;
  return flash('cached', headDim, variantOf({ bias }));
}

function launchTiled(tiled: Tiled, args: CachedArgs): void {
  const { q, keys, values, slotOf, positions, out, rows, heads, kvHeads, capacity } = args;
  const { scale, window, bias } = args;
  const grid = [heads, Math.ceil(rows / tiled.rows), 1] as const;
  const at = [q, keys, values, slotOf, positions, out].map(address);
  const numbers = [rows, heads, kvHeads, capacity, scale, window, biasOf(args), bias?.reach ?? 0];
  tiled.kernel.launch(grid, ATTENTION_BLOCK, tiled.shared, ...at, ...numbers);
}

/** The keys of every row in parts, a block each for some heads that share them; then the parts' results as one. */
function bindSplit(device: CudaDevice): (args: CachedArgs) => void {
  const once = remembered<readonly [parts: Kernel, combine: Kernel]>();

  function kernels(
    { q, keys, headDim, bias }: CachedArgs,
    together: number,
    vector: number,
  ): readonly [parts: Kernel, combine: Kernel] {
    const variant = variantOf({ bias });
    return once(
      `${q.dtype} ${keys.dtype} ${headDim} ${together} ${vector} ${JSON.stringify(variant)}`,
      () => {
        const types = { T: attentionType(q.dtype), CACHE: attentionType(keys.dtype) };
        const defines = { ...types, HEAD_DIM: headDim, HEADS: together, VEC: vector };
        const own = { ...defines, ...variant };
        const source = 'attention-cached';
        return [
          device.kernel(source, 'ww_attention_cached', 'pppppppppiiifiii', own),
          device.kernel(source, 'ww_attention_cached_combine', 'ppppiiiii', defines),
        ];
      },
    );
  }

  return (args) => {
    const { q, keys, values, slotOf, positions, out, rows, heads, kvHeads, headDim, capacity } = args;
    const { scale, window } = args;
    const [bias, reach] = [biasOf(args), args.bias?.reach ?? 0];
    const [qAt, keysAt, valuesAt, outAt] = [address(q), address(keys), address(values), address(out)];
    const rowsAt = [address(slotOf), address(positions)];

    const bytes = BYTES_PER_ELEMENT[keys.dtype];
    let vector = 16 / bytes;
    while (headDim % vector || keysAt % (vector * bytes) || valuesAt % (vector * bytes)) vector /= 2;
    const together = largestDivisor(heads / kvHeads, 8);
    const [parts, combine] = kernels(args, together, vector);

    const seen = window > 0 ? Math.min(window, capacity) : capacity;
    const { splits, least } = splitsFor((rows * heads) / together, seen, 4 * device.multiprocessors);
    const results = rows * heads * splits;
    const run = (scales: number): void => {
      const sums = scales + results * 8;
      const at = [qAt, keysAt, valuesAt, ...rowsAt, outAt];
      const shape = [heads, kvHeads, capacity, scale, window, least, reach];
      parts.launch([rows, heads / together, splits], ATTENTION_BLOCK, 0, ...at, sums, scales, bias, ...shape);
      if (splits === 1) return;
      const from = [address(positions), sums, scales, outAt];
      combine.launch([rows, heads, 1], ATTENTION_BLOCK, 0, ...from, heads, capacity, window, splits, least);
    };
    if (splits === 1) run(0);
    else device.withScratch(results * (headDim + 2) * 4, run);
  };
}

/**
 * Into how many parts a sequence's keys go, and how many keys a part has at least. Few blocks: as many parts as fill the card. Else a
 * part is long enough that only long sequences are divided (so that one of them does not keep the others waiting), unless blocks are
 * so many that they even out.
 */
function splitsFor(blocks: number, seen: number, wanted: number): { splits: number; least: number } {
  const fill = Math.floor(wanted / blocks);
  if (fill > 1) return { splits: Math.min(fill, Math.ceil(seen / 32)), least: 32 };
  if (blocks > 8 * wanted) return { splits: 1, least: 512 };
  return { splits: Math.min(8, Math.ceil(seen / 512)), least: 512 };
}

function largestDivisor(n: number, most: number): number {
  let divisor = Math.min(n, most);
  while (n % divisor) divisor--;
  return divisor;
}
