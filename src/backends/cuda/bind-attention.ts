/**
 * Attention on CUDA: over whole sequences on tensor cores where type, head size and card allow, else in plain f32 arithmetic; and over a
 * key-value cache. What a query sees is found once a call, as a range of keys, and all kernels work from those ranges.
 */

import { BYTES_PER_ELEMENT, type AttentionShape, type DType, type Kernels, type Span } from '../contract.js';
import type { Defines } from './compile.js';
import { aligned, lanes } from './arguments.js';
import { address, type CudaDevice, type Kernel } from './device.js';

type AttentionKernels = Pick<Kernels, 'attention' | 'attentionBackward' | 'cacheWrite' | 'attentionCached'>;

/** Threads of every block here: four warps. */
const BLOCK = 128;
const MAX_HEAD_DIM = 256;
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
  forward: 'ppppppiiif',
  dq: 'pppppppppiiif',
  dkv: 'pppppppppiiif',
  cached: 'ppppppiiiifi',
};
const GENERIC: Readonly<Record<Stage, string>> = {
  forward: 'ww_attention',
  dq: 'ww_attention_dq',
  dkv: 'ww_attention_dkv',
};

/** Binds attention over sequences and over a cache. */
export function bindAttention(device: CudaDevice): AttentionKernels {
  const remembered = new Map<string, unknown>();
  function once<V>(key: string, make: () => V): V {
    let value = remembered.get(key) as V | undefined;
    if (value === undefined) remembered.set(key, (value = make()));
    return value;
  }

  const bounds = once('bounds', () => device.kernel('attention', 'ww_attention_bounds', 'pppii'));

  function generic(stage: Stage, type: DType, headDim: number): Tiled {
    return once(`${stage} ${type} ${headDim}`, () => {
      const bytes = (rows: number): number =>
        ((stage === 'forward' ? 1 : 2) * 4 * rows + 32) * (headDim | 1) * 4;
      const rows = bytes(4) <= device.sharedPerBlock ? 4 : 2;
      const defines = { T: cType(type), HEAD_DIM: headDim, ROWS: rows };
      const kernel = device.kernel('attention', GENERIC[stage], PARAMETERS[stage], defines);
      return { kernel, rows: 4 * rows, shared: bytes(rows) };
    });
  }

  /** The kernel on tensor cores, if the card has the shared memory for one; its steps as large as let two blocks share a processor. */
  function flash(stage: FlashStage, headDim: number): Tiled | undefined {
    const found = once(`flash ${stage} ${headDim}`, () => {
      const rows = stage === 'dkv' || headDim > 128 ? 64 : 128;
      const forward = stage === 'forward' || stage === 'cached';
      const bytes = (step: number): number =>
        ((forward ? 1 : 2) * rows + 4 * step) * (headDim + 8) * 2 + (stage === 'dkv' ? 16 * step : 0);
      const steps = stage === 'dq' ? [32, 16] : [64, 32, 16];
      const step =
        steps.find((n) => 2 * (bytes(n) + 1024) <= device.sharedPerBlock + 1024) ??
        steps.find((n) => bytes(n) <= device.sharedPerBlock);
      if (step === undefined) return null;
      const defines: Defines = { HEAD_DIM: headDim, [stage === 'dkv' ? 'QUERIES' : 'KEYS']: step };
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

  function launch(tiled: Tiled, shape: AttentionShape, across: number, parts: number, at: number[]): void {
    const { batch, length, heads, kvHeads, scale } = shape;
    const grid = [across, Math.ceil(length / tiled.rows), batch * parts] as const;
    tiled.kernel.launch(grid, BLOCK, tiled.shared, ...at, length, heads, kvHeads, scale);
  }

  /** Finds every row's range and hands over where the ranges' first keys and ends of queries stand, and `more` floats of scratch. */
  function withBounds(
    shape: AttentionShape,
    more: number,
    use: (first: number, end: number, scratch: number) => void,
  ): void {
    const { batch, length, window } = shape;
    const n = batch * length;
    device.withScratch((2 * n + more) * 4, (first) => {
      const end = first + 4 * n;
      const grid = [Math.ceil(length / 4), batch, 1] as const;
      bounds.launch(grid, BLOCK, 0, address(shape.segments), first, end, length, window);
      use(first, end, end + 4 * n);
    });
  }

  return {
    attention(args) {
      const { q, k, v, out, lse, heads, headDim } = args;
      if (!check('attention', args, { q, out }, { k, v }, lse)) return;
      const [qAt, kAt, vAt, outAt] = [address(q), address(k), address(v), address(out)];
      const tensor = flashes(args, [q.dtype], [qAt, kAt, vAt, outAt]) ? flash('forward', headDim) : undefined;
      const tiled = tensor ?? generic('forward', q.dtype, headDim);
      withBounds(args, 0, (first) => {
        launch(tiled, args, heads, 1, [qAt, kAt, vAt, first, outAt, address(lse)]);
      });
    },

    attentionBackward(args) {
      const { q, k, v, out, dOut, lse, dq, dk, dv, batch, length, heads, kvHeads, headDim } = args;
      if (!check('attentionBackward', args, { q, out, dOut, dq }, { k, v, dk, dv }, lse)) return;
      const [qAt, kAt, vAt, outAt] = [address(q), address(k), address(v), address(out)];
      const [dOutAt, dqAt, dkAt, dvAt] = [address(dOut), address(dq), address(dk), address(dv)];
      const lseAt = address(lse);
      const fast = flashes(args, [q.dtype], [qAt, kAt, vAt, outAt, dOutAt, dqAt, dkAt, dvAt]);
      const dqTensor = fast ? flash('dq', headDim) : undefined;
      const dkvTensor = fast ? flash('dkv', headDim) : undefined;
      withBounds(args, batch * heads * length, (first, end, delta) => {
        const forDq = [qAt, kAt, vAt, first, outAt, dOutAt, lseAt, delta, dqAt];
        launch(dqTensor ?? generic('dq', q.dtype, headDim), args, heads, 1, forDq);
        const forDkv = [qAt, kAt, vAt, end, dOutAt, lseAt, delta, dkAt, dvAt];
        const parts = dkvTensor && headDim > 128 ? 2 : 1;
        launch(dkvTensor ?? generic('dkv', q.dtype, headDim), args, kvHeads, parts, forDkv);
      });
    },

    cacheWrite(args) {
      const { x, cache, slotOf, positions, rows, slots, capacity } = args;
      const dim = args.kvHeads * args.headDim;
      checkSpan('cacheWrite', 'x', x, rows * dim);
      checkSpan('cacheWrite', 'cache', cache, slots * capacity * dim);
      checkSpan('cacheWrite', 'slotOf', slotOf, rows, ['i32']);
      checkSpan('cacheWrite', 'positions', positions, rows, ['i32']);
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
      const name = 'attentionCached';
      checkHeads(name, heads, kvHeads, headDim);
      checkSpan(name, 'q', q, rows * heads * headDim);
      checkSpan(name, 'out', out, rows * heads * headDim, [q.dtype]);
      checkSpan(name, 'keys', keys, slots * capacity * kvHeads * headDim);
      checkSpan(name, 'values', values, keys.length, [keys.dtype]);
      checkSpan(name, 'slotOf', slotOf, rows, ['i32']);
      checkSpan(name, 'positions', positions, rows, ['i32']);
      if (rows === 0) return;

      const [qAt, keysAt, valuesAt, outAt] = [address(q), address(keys), address(values), address(out)];
      const rowsAt = [address(slotOf), address(positions)];
      // Rows of one slot, one behind the other, read its keys together: a prompt, not one new row a sequence.
      if (
        rows >= 64 &&
        rows > 2 * slots &&
        flashes(args, [q.dtype, keys.dtype], [qAt, keysAt, valuesAt, outAt])
      ) {
        const tiled = flash('cached', headDim);
        if (tiled) {
          const grid = [heads, Math.ceil(rows / tiled.rows), 1] as const;
          const at = [qAt, keysAt, valuesAt, ...rowsAt, outAt];
          const numbers = [rows, heads, kvHeads, capacity, scale, window];
          tiled.kernel.launch(grid, BLOCK, tiled.shared, ...at, ...numbers);
          return;
        }
      }

      const bytes = BYTES_PER_ELEMENT[keys.dtype];
      let vector = 16 / bytes;
      while (headDim % vector || keysAt % (vector * bytes) || valuesAt % (vector * bytes)) vector /= 2;
      const together = largestDivisor(heads / kvHeads, 8);
      const [parts, combine] = once(
        `cached ${q.dtype} ${keys.dtype} ${headDim} ${together} ${vector}`,
        () => {
          const types = { T: cType(q.dtype), CACHE: cType(keys.dtype) };
          const defines = { ...types, HEAD_DIM: headDim, HEADS: together, VEC: vector };
          const source = 'attention-cached';
          return [
            device.kernel(source, 'ww_attention_cached', 'ppppppppiiifii', defines),
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
        const shape = [heads, kvHeads, capacity, scale, window, least];
        parts.launch([rows, heads / together, splits], BLOCK, 0, ...at, sums, scales, ...shape);
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

/** Checks a call over sequences; whether there is anything to do. */
function check(
  name: string,
  shape: AttentionShape,
  queries: Readonly<Record<string, Span>>,
  keys: Readonly<Record<string, Span>>,
  lse: Span,
): boolean {
  const { batch, length, heads, kvHeads, headDim } = shape;
  checkHeads(name, heads, kvHeads, headDim);
  const type = queries['q']?.dtype;
  const types: readonly DType[] = type === 'bf16' ? ['bf16'] : ['f32'];
  for (const [key, span] of Object.entries(queries))
    checkSpan(name, key, span, batch * length * heads * headDim, types);
  for (const [key, span] of Object.entries(keys))
    checkSpan(name, key, span, batch * length * kvHeads * headDim, types);
  checkSpan(name, 'lse', lse, batch * heads * length, ['f32']);
  checkSpan(name, 'segments', shape.segments, batch * length, ['i32']);
  return batch * length > 0;
}

function checkHeads(name: string, heads: number, kvHeads: number, headDim: number): void {
  if (heads % kvHeads !== 0)
    throw new RangeError(`${name}: ${kvHeads} key heads do not divide ${heads} heads`);
  if (headDim > MAX_HEAD_DIM)
    throw new RangeError(`${name}: headDim is ${headDim}, the most is ${MAX_HEAD_DIM}`);
}

function checkSpan(
  kernel: string,
  name: string,
  span: Span,
  length: number,
  types: readonly DType[] = ['f32', 'bf16'],
): void {
  if (!types.includes(span.dtype))
    throw new TypeError(`${kernel}: ${name} is ${span.dtype}, expected ${types.join(' or ')}`);
  if (span.length < length)
    throw new RangeError(`${kernel}: ${name} has ${span.length} elements, needs ${length}`);
}
