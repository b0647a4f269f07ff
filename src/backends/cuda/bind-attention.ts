/**
 * Attention on CUDA: over whole sequences, and over a key-value cache (bind-attention-cached.ts). What a query sees is found once a
 * call, as a range of keys, and all kernels work from those ranges.
 */

import type { AttentionShape, Kernels } from '../kernels.js';
import {
  ATTENTION_BLOCK,
  biasOf,
  bindAttentionTiles,
  flashes,
  variantOf,
  type AttentionTiles,
  type Tiled,
} from './bind-attention-tiles.js';
import { bindAttentionCached, bindCacheWrite } from './bind-attention-cached.js';
import { address, type CudaDevice, type Grid } from './device.js';

type AttentionKernels = Pick<Kernels, 'attention' | 'attentionBackward' | 'cacheWrite' | 'attentionCached'>;

/** Ranges of the other side by row: of the queries, and of the keys. */
interface Ranges {
  readonly queries: readonly [first: number, end: number];
  readonly keys: readonly [first: number, end: number];
}

/** Finds every row's range, the keys' where they are `wanted`, and hands over where the ranges stand, and `more` floats of scratch. */
type WithRanges = (
  shape: AttentionShape,
  wanted: 'queries' | 'both',
  more: number,
  use: (ranges: Ranges, scratch: number) => void,
) => void;

/** Binds attention over sequences and over a cache. */
export function bindAttention(device: CudaDevice): AttentionKernels {
  const tiles = bindAttentionTiles(device);
  const withRanges = bindRanges(device);
  return {
    ...bindForward(device, tiles, withRanges),
    ...bindBackward(device, tiles, withRanges),
    ...bindCacheWrite(device),
    ...bindAttentionCached(device, tiles),
  };
}

function bindRanges(device: CudaDevice): WithRanges {
  const bounds = device.kernel('attention', 'ww_attention_bounds', 'pppii');
  const ranges = device.kernel('attention', 'ww_attention_ranges', 'ppppii');

  return (shape, wanted, more, use) => {
    const { batch, length, window, causal, keys } = shape;
    const [n, others] = [batch * length, keys && wanted === 'both' ? batch * keys.length : 0];
    device.withScratch((2 * n + 2 * others + more) * 4, (first) => {
      const queries = [first, first + 4 * n] as const;
      const ofKeys = [first + 8 * n, first + 8 * n + 4 * others] as const;
      const segments = address(shape.segments);
      const grid = (rows: number): Grid => [Math.ceil(rows / 4), batch, 1];
      if (causal) {
        bounds.launch(grid(length), ATTENTION_BLOCK, 0, segments, ...queries, length, window);
      } else {
        const [there, count] = keys ? [address(keys.segments), keys.length] : [segments, length];
        ranges.launch(grid(length), ATTENTION_BLOCK, 0, segments, there, ...queries, length, count);
        if (others > 0)
          ranges.launch(grid(count), ATTENTION_BLOCK, 0, there, segments, ...ofKeys, count, length);
      }
      use({ queries, keys: keys ? ofKeys : queries }, first + 8 * (n + others));
    });
  };
}

function bindForward(
  device: CudaDevice,
  { generic, flash }: AttentionTiles,
  withRanges: WithRanges,
): Pick<Kernels, 'attention'> {
  return {
    attention(args) {
      const { q, k, v, out, lse, length, heads, headDim } = args;
      if (args.batch * length === 0) return;
      const [qAt, kAt, vAt, outAt] = [address(q), address(k), address(v), address(out)];
      const fast = flashes(device, args, [q.dtype], [qAt, kAt, vAt, outAt]);
      const variant = variantOf(args);
      const tensor = fast ? flash('forward', headDim, variant) : undefined;
      const tiled = tensor ?? generic('forward', q.dtype, headDim, variant);
      withRanges(args, 'queries', 0, ({ queries }) => {
        const at = [qAt, kAt, vAt, ...queries, biasOf(args), outAt, address(lse)];
        launch(tiled, args, [heads, length, 1], at);
      });
    },
  };
}

function bindBackward(
  device: CudaDevice,
  { generic, flash }: AttentionTiles,
  withRanges: WithRanges,
): Pick<Kernels, 'attentionBackward'> {
  const distances = device.kernel('attention', 'ww_attention_distances', 'ppiiii');

  return {
    attentionBackward(args) {
      const { q, k, v, out, dOut, lse, dq, dk, dv, dBias, batch, length, heads, kvHeads, headDim } = args;
      if (batch * length === 0) return;
      const [qAt, kAt, vAt, outAt] = [address(q), address(k), address(v), address(out)];
      const [dOutAt, dqAt, dkAt, dvAt] = [address(dOut), address(dq), address(dk), address(dv)];
      const lseAt = address(lse);
      const fast = flashes(device, args, [q.dtype], [qAt, kAt, vAt, outAt, dOutAt, dqAt, dkAt, dvAt]);
      const variant = variantOf(args);
      const forDq =
        (fast ? flash('dq', headDim, variant) : undefined) ?? generic('dq', q.dtype, headDim, variant);
      const plain = variantOf({ causal: args.causal, bias: args.bias });
      const tensor = fast ? flash('dkv', headDim, plain) : undefined;
      const forDkv = tensor ?? generic('dkv', q.dtype, headDim, plain);
      // A warp each sums its share of dBias.
      const warps = Math.ceil(length / forDq.rows) * (ATTENTION_BLOCK / 32);
      const width = 2 * (args.bias?.reach ?? 1) - 1;
      const scalars = batch * heads * length;
      const partial = dBias ? batch * heads * warps * width : 0;
      withRanges(args, 'both', scalars + partial, ({ queries, keys }, delta) => {
        const parts = delta + 4 * scalars;
        const bias = biasOf(args);
        launch(
          forDq,
          args,
          [heads, length, 1],
          [...[qAt, kAt, vAt, ...queries, bias, outAt, dOutAt, lseAt, delta, dqAt, parts]],
        );
        launch(
          forDkv,
          args,
          [kvHeads, args.keys?.length ?? length, tensor && headDim > 128 ? 2 : 1],
          [...[qAt, kAt, vAt, ...keys, bias, dOutAt, lseAt, delta, dkAt, dvAt]],
        );
        if (!dBias) return;
        const grid = [heads, Math.ceil(width / 32), 1] as const;
        distances.launch(grid, 256, 0, parts, address(dBias), batch, heads, warps, width);
      });
    },
  };
}

/** Launches a kernel whose blocks own rows of a sequence of `rows`. */
function launch(
  { kernel, rows: each, shared }: Tiled,
  shape: AttentionShape,
  [across, rows, parts]: readonly [across: number, rows: number, parts: number],
  at: readonly number[],
): void {
  const { batch, length, heads, kvHeads, scale, keys, bias } = shape;
  const grid = [across, Math.ceil(rows / each), batch * parts] as const;
  const numbers = [length, keys?.length ?? length, heads, kvHeads, scale, bias?.reach ?? 0];
  kernel.launch(grid, ATTENTION_BLOCK, shared, ...at, ...numbers);
}
