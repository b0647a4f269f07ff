/**
 * Attention on CUDA: over whole sequences on tensor cores where type, head size and card allow, else in plain f32 arithmetic; and over a
 * key-value cache. What a query sees is found once a call, as a range of keys, and all kernels work from those ranges. Whether a call is
 * causal and has a bias are defines: a call without them is what it would be if there were no others.
 */

import { BYTES_PER_ELEMENT, type DType, type Span } from '../span.js';
import type { AttentionShape, Kernels } from '../kernels.js';
import type { Defines } from './compile.js';
import { aligned, lanes } from './arguments.js';
import { address, type CudaDevice, type Grid, type Kernel } from './device.js';

type AttentionKernels = Pick<Kernels, 'attention' | 'attentionBackward' | 'cacheWrite' | 'attentionCached'>;

/** Threads of every block here: four warps. */
const BLOCK = 128;
/** The most that the kernels' registers take. */
export const MAX_HEAD_DIM = 256;
const C_TYPE: Partial<Record<DType, string>> = { f32: 'float', bf16: 'bf16' };

/** A kernel over sequences with its tile sizes: rows that a block owns, bytes of shared memory. */
interface Tiled {
  readonly kernel: Kernel;
  readonly rows: number;
  readonly shared: number;
}
type Stage = 'forward' | 'dq' | 'dkv';
type FlashStage = Stage | 'cached';

const PARAMETERS: Readonly<Record<FlashStage, string>> = {
  forward: 'ppppppppiiiifi',
  dq: 'ppppppppppppiiiifi',
  dkv: 'pppppppppppiiiifi',
  cached: 'ppppppiiiifipi',
};
const GENERIC: Readonly<Record<Stage, string>> = {
  forward: 'ww_attention',
  dq: 'ww_attention_dq',
  dkv: 'ww_attention_dkv',
};

/** What of a call changes its kernels, as their defines. */
type Variant = Readonly<Partial<Record<'RANGED' | 'BIAS' | 'DBIAS', 1>>>;

function variantOf(
  shape: Pick<AttentionShape, 'bias'> & { causal?: boolean; dBias?: Span | undefined },
): Variant {
  return {
    ...(shape.causal === false && { RANGED: 1 }),
    ...(shape.bias && { BIAS: 1 }),
    ...(shape.dBias && { DBIAS: 1 }),
  };
}

/** Ranges of the other side by row: of the queries, and of the keys. */
interface Ranges {
  readonly queries: readonly [first: number, end: number];
  readonly keys: readonly [first: number, end: number];
}

/** Binds attention over sequences and over a cache. */
export function bindAttention(device: CudaDevice): AttentionKernels {
  const remembered = new Map<string, unknown>();
  function once<V>(key: string, make: () => V): V {
    let value = remembered.get(key) as V | undefined;
    if (value === undefined) remembered.set(key, (value = make()));
    return value;
  }

  const bounds = device.kernel('attention', 'ww_attention_bounds', 'pppii');
  const ranges = device.kernel('attention', 'ww_attention_ranges', 'ppppii');
  const distances = device.kernel('attention', 'ww_attention_distances', 'ppiiii');

  function generic(stage: Stage, type: DType, headDim: number, variant: Variant): Tiled {
    return once(`${stage} ${type} ${headDim} ${JSON.stringify(variant)}`, () => {
      const bytes = (rows: number): number =>
        ((stage === 'forward' ? 1 : 2) * 4 * rows + 32) * (headDim | 1) * 4;
      const rows = bytes(4) <= device.sharedPerBlock ? 4 : 2;
      const defines = { T: cType(type), HEAD_DIM: headDim, ROWS: rows, ...variant };
      const kernel = device.kernel('attention', GENERIC[stage], PARAMETERS[stage], defines);
      return { kernel, rows: 4 * rows, shared: bytes(rows) };
    });
  }

  /** The kernel on tensor cores, if the card has the shared memory for one; its steps as large as let two blocks share a processor. */
  function flash(stage: FlashStage, headDim: number, variant: Variant): Tiled | undefined {
    const found = once(`flash ${stage} ${headDim} ${JSON.stringify(variant)}`, () => {
      const rows = stage === 'dkv' || headDim > 128 ? 64 : 128;
      const forward = stage === 'forward' || stage === 'cached';
      const bytes = (step: number): number =>
        ((forward ? 1 : 2) * rows + 4 * step) * (headDim + 8) * 2 +
        (stage === 'dkv' ? 16 * step : 0) +
        (variant.BIAS && stage !== 'cached' ? 8 * (rows + step) : 0) +
        (variant.DBIAS ? 16 * (8 * (rows / 4 + step - 8) + rows / 4) : 0);
      const steps = stage === 'dq' ? [32, 16] : [64, 32, 16];
      const step =
        steps.find((n) => 2 * (bytes(n) + 1024) <= device.sharedPerBlock + 1024) ??
        steps.find((n) => bytes(n) <= device.sharedPerBlock);
      if (step === undefined) return null;
      const defines: Defines = {
        HEAD_DIM: headDim,
        [stage === 'dkv' ? 'QUERIES' : 'KEYS']: step,
        ...variant,
      };
      const source = forward ? 'flash-forward' : 'flash-backward';
      const kernel = device.kernel(source, `ww_flash_${stage}`, PARAMETERS[stage], defines);
      return { kernel, rows, shared: bytes(step) };
    });
    return found ?? undefined;
  }

  /** Whether the flash kernels take these arrays, which they read and write 16 bytes at a time. */
  function flashes(
    { headDim, scale }: { readonly headDim: number; readonly scale: number },
    types: readonly DType[],
    arrays: readonly number[],
  ): boolean {
    return (
      types.every((type) => type === 'bf16') &&
      device.capability >= 80 &&
      headDim % (headDim > 128 ? 32 : 16) === 0 &&
      scale > 0 &&
      arrays.every((at) => at % 16 === 0)
    );
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
    kernel.launch(grid, BLOCK, shared, ...at, ...numbers);
  }

  /** Finds every row's range, the keys' where they are `wanted`, and hands over where the ranges stand, and `more` floats of scratch. */
  function withRanges(
    shape: AttentionShape,
    wanted: 'queries' | 'both',
    more: number,
    use: (ranges: Ranges, scratch: number) => void,
  ): void {
    const { batch, length, window, causal, keys } = shape;
    const [n, others] = [batch * length, keys && wanted === 'both' ? batch * keys.length : 0];
    device.withScratch((2 * n + 2 * others + more) * 4, (first) => {
      const queries = [first, first + 4 * n] as const;
      const ofKeys = [first + 8 * n, first + 8 * n + 4 * others] as const;
      const segments = address(shape.segments);
      const grid = (rows: number): Grid => [Math.ceil(rows / 4), batch, 1];
      if (causal) {
        bounds.launch(grid(length), BLOCK, 0, segments, ...queries, length, window);
      } else {
        const [there, count] = keys ? [address(keys.segments), keys.length] : [segments, length];
        ranges.launch(grid(length), BLOCK, 0, segments, there, ...queries, length, count);
        if (others > 0) ranges.launch(grid(count), BLOCK, 0, there, segments, ...ofKeys, count, length);
      }
      use({ queries, keys: keys ? ofKeys : queries }, first + 8 * (n + others));
    });
  }

  return {
    attention(args) {
      const { q, k, v, out, lse, length, heads, headDim } = args;
      if (args.batch * length === 0) return;
      const [qAt, kAt, vAt, outAt] = [address(q), address(k), address(v), address(out)];
      const fast = flashes(args, [q.dtype], [qAt, kAt, vAt, outAt]);
      const variant = variantOf(args);
      const tensor = fast ? flash('forward', headDim, variant) : undefined;
      const tiled = tensor ?? generic('forward', q.dtype, headDim, variant);
      withRanges(args, 'queries', 0, ({ queries }) => {
        const at = [qAt, kAt, vAt, ...queries, biasOf(args), outAt, address(lse)];
        launch(tiled, args, [heads, length, 1], at);
      });
    },

    attentionBackward(args) {
      const { q, k, v, out, dOut, lse, dq, dk, dv, dBias, batch, length, heads, kvHeads, headDim } = args;
      if (batch * length === 0) return;
      const [qAt, kAt, vAt, outAt] = [address(q), address(k), address(v), address(out)];
      const [dOutAt, dqAt, dkAt, dvAt] = [address(dOut), address(dq), address(dk), address(dv)];
      const lseAt = address(lse);
      const fast = flashes(args, [q.dtype], [qAt, kAt, vAt, outAt, dOutAt, dqAt, dkAt, dvAt]);
      const variant = variantOf(args);
      const forDq =
        (fast ? flash('dq', headDim, variant) : undefined) ?? generic('dq', q.dtype, headDim, variant);
      const plain = variantOf({ causal: args.causal, bias: args.bias });
      const tensor = fast ? flash('dkv', headDim, plain) : undefined;
      const forDkv = tensor ?? generic('dkv', q.dtype, headDim, plain);
      // A warp each sums its share of dBias.
      const warps = Math.ceil(length / forDq.rows) * (BLOCK / 32);
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

    cacheWrite(args) {
      const { x, cache, slotOf, positions, rows, slots, capacity } = args;
      const dim = args.kvHeads * args.headDim;
      if (rows === 0) return;
      const defines = { T: cType(x.dtype), CACHE: cType(cache.dtype) };
      const kernel = once(`write ${x.dtype} ${cache.dtype}`, () =>
        device.kernel('attention-cached', 'ww_cache_write', 'ppppiiii', defines),
      );
      const at = [address(x), address(cache), address(slotOf), address(positions)];
      const vector = dim % lanes(x.dtype) === 0 ? aligned(address(x), address(cache)) : 0;
      kernel.launch([rows, 1, 1], BLOCK, 0, ...at, slots, capacity, dim, vector);
    },

    attentionCached(args) {
      const { q, keys, values, slotOf, positions, out, rows, slots, heads, kvHeads, headDim, capacity } =
        args;
      const { scale, window } = args;
      const [bias, reach] = [biasOf(args), args.bias?.reach ?? 0];
      if (rows === 0) return;

      const [qAt, keysAt, valuesAt, outAt] = [address(q), address(keys), address(values), address(out)];
      const rowsAt = [address(slotOf), address(positions)];
      const variant = variantOf({ bias: args.bias });
      // Rows of one slot, one behind the other, read its keys together: a prompt, not one new row a sequence.
      if (
        rows >= 64 &&
        rows > 2 * slots &&
        flashes(args, [q.dtype, keys.dtype], [qAt, keysAt, valuesAt, outAt])
      ) {
        const tiled = flash('cached', headDim, variant);
        if (tiled) {
          const grid = [heads, Math.ceil(rows / tiled.rows), 1] as const;
          const at = [qAt, keysAt, valuesAt, ...rowsAt, outAt];
          const numbers = [rows, heads, kvHeads, capacity, scale, window, bias, reach];
          tiled.kernel.launch(grid, BLOCK, tiled.shared, ...at, ...numbers);
          return;
        }
      }

      const bytes = BYTES_PER_ELEMENT[keys.dtype];
      let vector = 16 / bytes;
      while (headDim % vector || keysAt % (vector * bytes) || valuesAt % (vector * bytes)) vector /= 2;
      const together = largestDivisor(heads / kvHeads, 8);
      const [parts, combine] = once(
        `cached ${q.dtype} ${keys.dtype} ${headDim} ${together} ${vector} ${JSON.stringify(variant)}`,
        () => {
          const types = { T: cType(q.dtype), CACHE: cType(keys.dtype) };
          const defines = { ...types, HEAD_DIM: headDim, HEADS: together, VEC: vector };
          const own = { ...defines, ...variant };
          const source = 'attention-cached';
          return [
            device.kernel(source, 'ww_attention_cached', 'pppppppppiiifiii', own),
            device.kernel(source, 'ww_attention_cached_combine', 'ppppiiiii', defines),
          ] as const;
        },
      );

      const seen = window > 0 ? Math.min(window, capacity) : capacity;
      const { splits, least } = splitsFor((rows * heads) / together, seen, 4 * device.multiprocessors);
      const results = rows * heads * splits;
      const run = (scales: number): void => {
        const sums = scales + results * 8;
        const at = [qAt, keysAt, valuesAt, ...rowsAt, outAt];
        const shape = [heads, kvHeads, capacity, scale, window, least, reach];
        parts.launch([rows, heads / together, splits], BLOCK, 0, ...at, sums, scales, bias, ...shape);
        if (splits === 1) return;
        const from = [address(positions), sums, scales, outAt];
        combine.launch([rows, heads, 1], BLOCK, 0, ...from, heads, capacity, window, splits, least);
      };
      if (splits === 1) run(0);
      else device.withScratch(results * (headDim + 2) * 4, run);
    },
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

function cType(type: DType): string {
  const name = C_TYPE[type];
  if (name === undefined) throw new TypeError(`attention: expected f32 or bf16, got ${type}`);
  return name;
}

/** The address of a call's values by distance, or nowhere. */
function biasOf({ bias }: Pick<AttentionShape, 'bias'>): number {
  return bias ? address(bias.values) : 0;
}
