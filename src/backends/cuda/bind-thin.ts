/**
 * LoRA's products, whose rank (at most 64) is thin beside the other sizes: on tensor cores where type, sizes and addresses allow, else
 * in plain f32 arithmetic. Those of the masked input draw dropout's mask as they read.
 */

import type { DenseMatrix, Dropout, DType, GemmArgs, Kernels, Span } from '../contract.js';
import { checkGemm } from '../gemm.js';
import { checkLora } from '../lora.js';
import { aligned, BLOCK, cType, elementGrid, family, keepThreshold, randomArguments } from './arguments.js';
import { address, type CudaDevice } from './device.js';

const MAX_RANK = 64;
/** Tile of the inner product, columns of a block of the others, and steps in which sums and rows are split. */
const INNER_ROWS = 256;
const COLUMNS = 256;
const INNER_STEP = 64;
const OUTER_STEP = 32;
const GRADIENT_STEP = 64;
const PLAIN_TILE = 64;
const PLAIN_STEP = 256;
const INNER_STAGES = 3;

type Dense = GemmArgs & { readonly b: DenseMatrix };

/** What is written into `c` before a product is added to it: all that GemmArgs adds. */
export interface Prepared {
  readonly residual?: Span | undefined;
  readonly bias?: Span | undefined;
  readonly extra?: GemmArgs['extra'];
  readonly transB: boolean;
}

export interface Thin {
  /** Does the product if it is a thin one; else does nothing and says false. */
  tryGemm(args: GemmArgs): boolean;
  /** Does the masked product if it can; else does nothing and says false. */
  tryLoraDown(args: Parameters<Kernels['loraDown']>[0]): boolean;
  tryLoraDownBackward(args: Parameters<Kernels['loraDownBackward']>[0]): boolean;
  /** c [m, n] = residual + bias + extra's product (of a rank of at most 64, not transposed on the left); without them 0. */
  prepare(c: Span, m: number, n: number, parts: Prepared): void;
}

/** A length in equal slices, multiples of `step`, so that `strips` times their count fill the places for blocks once or twice. */
function slices(
  length: number,
  step: number,
  strips: number,
  places: number,
): { size: number; count: number } {
  const filled = (waves: number): number => {
    const count = Math.max(1, Math.floor((waves * places) / strips));
    return (count * strips) / (places * Math.ceil((count * strips) / places));
  };
  const waves = filled(1) > 0.9 * filled(2) ? 1 : 2;
  const wanted = Math.max(1, Math.floor((waves * places) / strips));
  const size = Math.max(step, Math.ceil(length / wanted / step) * step);
  return { size, count: Math.max(1, Math.ceil(length / size)) };
}

function scaleOf(mask: Dropout | undefined): number {
  return mask ? 1 / (1 - mask.p) : 1;
}

function maskArguments(mask: Dropout | undefined): number[] {
  if (!mask) return [0, 0, 0, 0, 0];
  return [keepThreshold(mask), ...randomArguments(mask.random), mask.firstElement];
}

export function bindThin(device: CudaDevice): Thin {
  const keyed = (source: string, name: string, parameters: string): ReturnType<typeof family> =>
    family(device, source, name, parameters, (key) => JSON.parse(key) as Record<string, string | number>);
  const inner = keyed('thin', 'ww_thin_inner', 'pppiiiiuuuul');
  const outer = keyed('thin', 'ww_thin_outer', 'pppppiiifi');
  const gradient = keyed('thin', 'ww_thin_gradient', 'pppiiii');
  const downBackward = keyed('lora', 'ww_lora_down_backward', 'pppppiiiifuuuul');
  const plain = keyed('thin-plain', 'ww_thin_plain', 'ppppppiiiiifi');
  const reduce = keyed('thin-plain', 'ww_thin_reduce', 'ppplifi');

  /** The defines of a kernel on tensor cores. */
  const tensor = (rank: number, more: Readonly<Record<string, string | number | boolean>>): string =>
    JSON.stringify({
      ACTIVATION: 'bf16',
      RANK: Math.max(16, Math.ceil(rank / 16) * 16),
      ...Object.fromEntries(
        Object.entries(more).map(([name, value]) => [name, value === true ? 1 : value === false ? 0 : value]),
      ),
    });

  /** c = [from] + alpha · the sum of `count` parts that `fill` makes. */
  function reduced(
    g: Pick<GemmArgs, 'm' | 'n' | 'c' | 'residual' | 'accumulate'>,
    count: number,
    alpha: number,
    fill: (parts: number) => void,
  ): void {
    const n = g.m * g.n;
    const from = g.residual ?? (g.accumulate ? g.c : undefined);
    const at = [from ? address(from) : 0, address(g.c)];
    device.withScratch(count * n * 4, (parts) => {
      fill(parts);
      const vector = n % 4 === 0 ? aligned(parts, ...at) : 0;
      const kernel = reduce(JSON.stringify({ OUT: cType(g.c.dtype) }));
      kernel.launch(elementGrid(n, 4, vector), BLOCK, 0, parts, ...at, n, count, alpha, vector);
    });
  }

  const onTensorCores = (rank: number, ...operands: Span[]): boolean =>
    device.capability >= 80 && rank % 8 === 0 && operands.every((span) => span.dtype === 'bf16');

  /** c = [from] + alpha · mask(a) · op(b) */
  function innerOnTensorCores(
    g: Omit<Dense, 'b'> & { readonly b: Span; readonly dropout?: Dropout },
  ): boolean {
    const { m, n: r, k, a, b, transB = false, alpha = 1, dropout } = g;
    const at = [address(a), address(b)] as const;
    if (!onTensorCores(r, a) || k % 8 !== 0 || !aligned(at[0], transB ? at[1] : 0)) return false;
    if (dropout && dropout.firstElement % 8 !== 0) return false;
    const key = tensor(r, { TRANS_B: transB, DROP: dropout !== undefined });
    const rank = Math.ceil(r / 16) * 16;
    const stage = transB ? rank * (INNER_STEP + 4) : INNER_STEP * (rank + 1);
    const shared = 4 * Math.max(INNER_STAGES * stage, INNER_ROWS * rank);
    const strips = Math.ceil(m / INNER_ROWS);
    const { size, count } = slices(k, INNER_STEP, strips, device.multiprocessors);
    reduced(g, count, alpha * scaleOf(dropout), (parts) => {
      const grid = [strips, count, 1] as const;
      inner(key).launch(grid, 512, shared, ...at, parts, m, k, r, size, ...maskArguments(dropout));
    });
    return true;
  }

  /** c = [from] + [bias] + alpha · a · op(b); without `a` and `b` k is 0. */
  function outerOnTensorCores(
    g: Pick<GemmArgs, 'm' | 'n' | 'k' | 'c'> & {
      readonly a: Span | undefined;
      readonly b: Span | undefined;
      readonly transB: boolean;
      readonly alpha: number;
      readonly from: Span | undefined;
      readonly bias: Span | undefined;
    },
  ): boolean {
    const { m, n, k: r, a, b, c, from, bias } = g;
    const at = (span: Span | undefined): number => (span ? address(span) : 0);
    if (device.capability < 80 || r % 8 !== 0 || n % 8 !== 0) return false;
    if (a && a.dtype !== 'bf16') return false;
    if (!aligned(at(a), at(c), at(from), at(bias))) return false;
    const key = tensor(r, { TRANS_B: g.transB, OUT: cType(c.dtype) });
    const strips = Math.ceil(n / COLUMNS);
    const { size, count } = slices(m, OUTER_STEP, strips, 2 * device.multiprocessors);
    outer(key).launch(
      [strips, count, 1],
      BLOCK,
      0,
      ...[at(a), at(b), at(from), at(bias), at(c)],
      ...[m, n, r, g.alpha, size],
    );
    return true;
  }

  function gradientOnTensorCores(g: Dense): boolean {
    const { m, n, k: rows, a, b, alpha = 1 } = g;
    const thinN = n < m;
    const [rank, width] = thinN ? [n, m] : [m, n];
    const [thin, large] = thinN ? [b.data, a] : [a, b.data];
    const at = [address(thin), address(large)] as const;
    if (!onTensorCores(rank, thin, large) || width % 8 !== 0 || !aligned(...at)) return false;
    const key = tensor(rank, { THIN_N: thinN });
    const strips = Math.ceil(width / COLUMNS);
    const { size, count } = slices(rows, GRADIENT_STEP, strips, 2 * device.multiprocessors);
    reduced(g, count, alpha, (parts) => {
      const grid = [strips, count, 1] as const;
      gradient(key).launch(grid, BLOCK, 0, ...at, parts, rows, width, rank, size);
    });
    return true;
  }

  /** Any of the three; splits long sums, but for products with a bias. */
  function onPlainCores(g: Omit<Dense, 'b'> & { readonly b: Span }, split: boolean): void {
    const { m, n, k, a, b, c, alpha = 1 } = g;
    const from = g.residual ?? (g.accumulate ? c : undefined);
    const types = { TA: cType(a.dtype), TB: cType(b.dtype), OUT: cType(c.dtype) };
    const tiles = [Math.ceil(m / PLAIN_TILE), Math.ceil(n / PLAIN_TILE)] as const;
    const { size, count } = split
      ? slices(k, PLAIN_STEP, tiles[0] * tiles[1], 2 * device.multiprocessors)
      : { size: Math.max(1, k), count: 1 };
    const launch = (parts: number): void =>
      plain(JSON.stringify(types)).launch(
        [...tiles, count],
        BLOCK,
        0,
        ...[
          address(a),
          address(b),
          from ? address(from) : 0,
          g.bias ? address(g.bias) : 0,
          address(c),
          parts,
        ],
        ...[m, n, k, g.transA ? 1 : 0, g.transB ? 1 : 0, alpha, size],
      );
    if (count === 1) launch(0);
    else reduced(g, count, alpha, launch);
  }

  return {
    tryGemm(args) {
      const { m, n, k, a, b, c, transA = false, transB = false, alpha = 1, bias, extra } = args;
      if (b.kind !== 'dense' || extra || !isActivation(a.dtype)) return false;
      if (c.dtype !== 'f32' && c.dtype !== a.dtype) return false;
      const g: Dense = { ...args, b };
      const run = (fast: () => boolean, split: boolean): true => {
        checkGemm(args);
        if (!fast()) onPlainCores({ ...g, b: b.data }, split);
        return true;
      };
      if (transA) {
        if (transB || Math.min(m, n) > MAX_RANK || b.data.dtype !== a.dtype || bias) return false;
        return run(() => gradientOnTensorCores(g), true);
      }
      if (b.data.dtype !== 'f32') return false;
      if (n <= MAX_RANK && !bias) return run(() => innerOnTensorCores({ ...g, b: b.data }), true);
      if (k > MAX_RANK) return false;
      const from = args.residual ?? (args.accumulate ? c : undefined);
      const more = { a, b: b.data, transB, alpha, from, bias };
      return run(() => outerOnTensorCores({ m, n, k, c, ...more }), false);
    },

    tryLoraDown(args) {
      const { x, a, u, rows, cols, r, dropout } = args;
      if (r > MAX_RANK || u.dtype !== 'bf16') return false;
      checkLora('loraDown', args, args);
      return innerOnTensorCores({ m: rows, n: r, k: cols, a: x, b: a, transB: true, c: u, dropout });
    },

    tryLoraDownBackward(args) {
      const { x, du, a, dA, dx, rows, cols, r, dropout, accumulate } = args;
      const at = [address(x), address(du), address(a)] as const;
      const dxAt = dx ? address(dx) : 0;
      if (r > MAX_RANK || !dA || !onTensorCores(r, x, du)) return false;
      if (cols % 8 !== 0 || dropout.firstElement % 8 !== 0 || !aligned(...at, dxAt)) return false;
      checkLora('loraDownBackward', args, args);
      const rank = tensor(r, { ACCUMULATE: accumulate && dx !== undefined });
      const strips = Math.ceil(cols / COLUMNS);
      const places = (r <= 32 ? 2 : 1) * device.multiprocessors;
      const { size, count } = slices(rows, GRADIENT_STEP, strips, places);
      const scale = scaleOf(dropout);
      reduced({ m: r, n: cols, c: dA, accumulate: true }, count, scale, (parts) => {
        const sizes = [rows, cols, r, size, scale, ...maskArguments(dropout)];
        downBackward(rank).launch([strips, count, 1], BLOCK, 0, ...at, parts, dxAt, ...sizes);
      });
      return true;
    },

    prepare(c, m, n, { residual, bias, extra, transB }) {
      const { k, alpha } = extra ?? { k: 0, alpha: 0 };
      const [a, b] = [extra?.a, extra?.b];
      const more = { a, b, transB, alpha, from: residual, bias };
      if (outerOnTensorCores({ m, n, k, c, ...more })) return;
      const added = { ...(residual && { residual }), ...(bias && { bias }) };
      // Of a product with k = 0 nothing is read: c stands for factors that are not there.
      onPlainCores({ m, n, k, a: a ?? c, b: b ?? c, c, transB, alpha, ...added }, false);
    },
  };
}

function isActivation(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'bf16';
}
