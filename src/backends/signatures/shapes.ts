/** What the signatures of several kernels share: types, parts, shapes and their sizes. */

import { BYTES_PER_ELEMENT, type DenseMatrix, type DType, type Nf4Matrix, type RowGroup } from '../span.js';
import type {
  Activation,
  AttentionShape,
  CrossKeys,
  DistanceBias,
  Dropout,
  GateActivation,
  GemmArgs,
  Kernels,
  KvCacheShape,
  LoraShape,
  RandomStream,
  ThinProduct,
} from '../kernels.js';
import {
  choice,
  COUNT,
  DIMENSION,
  ELEMENTS,
  F32,
  FLAG,
  I32,
  list,
  MOST,
  NUMBERS,
  optional,
  part,
  real,
  REAL,
  size,
  span,
  typeOf,
  U8,
  WORD,
  type MatrixRule,
  type Rules,
  type Signature,
} from '../rules.js';

export type Arguments<K extends keyof Kernels> = Parameters<Kernels[K]>[0];

/** Types of a key-value cache, and of plain memory. */
export const STORED = ['f32', 'bf16'] as const;
export const ANY = Object.keys(BYTES_PER_ELEMENT) as readonly DType[];
/** What a product of activations in bf16 may come out as. */
const PRODUCTS = ['bf16', 'f32'] as const;
const PRECISION = choice({ f32: true, bf16: true });
export const ACTIVATION = choice<Activation>({ gelu: true, gelu_tanh: true, relu: true });
export const GATE = choice<GateActivation>({ silu: true, gelu_tanh: true });
export const WEIGHT_OFFSET = { kind: 'choice', values: [0, 1] } as const;
export const SHARE = real('a number from 0 to less than 1', (p) => p >= 0 && p < 1);

export const RANDOM = part<RandomStream, unknown>({ rules: { seed: WORD, stream: WORD, step: WORD } });
export const DROPOUT = { p: SHARE, random: RANDOM, firstElement: ELEMENTS };

export const DENSE: Signature<DenseMatrix, unknown> = {
  rules: {
    kind: { kind: 'choice', values: ['dense'] },
    rows: COUNT,
    cols: COUNT,
    data: span(NUMBERS, (m) => m.rows * m.cols),
  },
};

function scalesOf(w: Nf4Matrix): number {
  return Math.ceil((w.rows * w.cols) / 64);
}

export const NF4: Signature<Nf4Matrix, unknown> = {
  rules: {
    kind: { kind: 'choice', values: ['nf4'] },
    rows: COUNT,
    cols: COUNT,
    packed: span(U8, (w) => Math.ceil((w.rows * w.cols) / 2)),
    absmax: span((w) => (w.nested ? U8 : F32), scalesOf),
    nested: optional(
      part<NonNullable<Nf4Matrix['nested']>, Nf4Matrix>({
        rules: {
          absmax: span(F32, (_, w) => Math.ceil(scalesOf(w) / 256)),
          map: span(F32, () => 256),
          offset: span(F32, () => 1),
        },
      }),
    ),
    dense: optional(part(DENSE)),
  },
  conditions: [
    ({ dense, rows, cols }) =>
      dense && (dense.rows !== rows || dense.cols !== cols)
        ? `its unpacked copy is [${dense.rows}, ${dense.cols}], not [${rows}, ${cols}]`
        : undefined,
  ],
};

function matrix<P>(
  kinds: MatrixRule<P, unknown>['kinds'],
  rows: (args: P) => number,
  cols: (args: P) => number,
): MatrixRule<P, unknown> {
  return { kind: 'matrix', kinds, rows, cols };
}

const THIN: Signature<ThinProduct, GemmArgs> = {
  rules: {
    first: COUNT,
    rows: COUNT,
    k: COUNT,
    a: span(
      (_, g) => typeOf(g.a),
      (thin) => thin.rows * thin.k,
    ),
    b: span(F32, (thin, g) => g.n * thin.k),
    alpha: REAL,
  },
};

const GROUP: Signature<RowGroup, GemmArgs> = {
  rules: { first: COUNT, rows: DIMENSION, count: COUNT },
};

export const GEMM: Signature<GemmArgs, unknown> = {
  rules: {
    m: COUNT,
    n: DIMENSION,
    k: COUNT,
    b: matrix(
      ['dense', 'nf4'],
      (g) => (g.transB ? g.n : g.k),
      (g) => (g.transB ? g.k : g.n),
    ),
    a: span('activation', (g) => g.m * g.k),
    transA: optional(FLAG),
    transB: optional(FLAG),
    c: span(
      (g) => (g.a.dtype === 'bf16' ? PRODUCTS : F32),
      (g) => g.m * g.n,
    ),
    alpha: optional(REAL),
    accumulate: optional(FLAG),
    groups: optional(list(GROUP)),
    extra: optional(list(THIN)),
    bias: optional(span(F32, (g: GemmArgs) => g.n)),
    residual: optional(
      span(
        (g: GemmArgs) => typeOf(g.c),
        (g) => g.m * g.n,
      ),
    ),
    path: optional(choice({ tiles: true, rows: true })),
    precision: optional(PRECISION),
  },
  conditions: [
    ({ residual, accumulate }) => (residual && accumulate ? 'residual excludes accumulate' : undefined),
    ({ groups, transA }) => (groups && transA ? 'groups exclude transA' : undefined),
    ({ groups, m }) => {
      if (!groups) return undefined;
      let end = 0;
      for (const { first, rows, count } of groups) {
        if (first !== end) return `a group begins at row ${first}, the one before ends at ${end}`;
        end += rows * count;
      }
      return end === m ? undefined : `groups end at ${end} of ${m} rows`;
    },
    ({ extra, m }) => {
      if (!extra) return undefined;
      let end = 0;
      for (const { first, rows } of extra) {
        if (first < end || first + rows > m)
          return `extra has rows ${first} to ${first + rows} behind ${end} of ${m}`;
        end = first + rows;
      }
      return undefined;
    },
  ],
};

export const LORA: Rules<LoraShape, unknown> = {
  rows: COUNT,
  cols: DIMENSION,
  r: DIMENSION,
  precision: PRECISION,
};
export const LORA_DROPOUT = optional(part<Dropout, unknown>({ rules: DROPOUT }));

const KEYS: Signature<CrossKeys, AttentionShape> = {
  rules: { length: COUNT, segments: span(I32, (keys, shape) => shape.batch * keys.length) },
};

export const BIAS: Signature<DistanceBias, { readonly heads: number }> = {
  rules: {
    values: span(F32, (bias, shape) => shape.heads * (2 * bias.reach - 1)),
    reach: DIMENSION,
  },
};

const HEAD_DIM = size(1, (limits) => Math.min(MOST, limits.headDim));

export const ATTENTION: Rules<AttentionShape, unknown> = {
  batch: COUNT,
  length: COUNT,
  heads: DIMENSION,
  kvHeads: DIMENSION,
  headDim: HEAD_DIM,
  scale: REAL,
  causal: FLAG,
  window: COUNT,
  segments: span(I32, (s) => s.batch * s.length),
  keys: optional(part(KEYS)),
  bias: optional(part(BIAS)),
};

export const CACHE: Rules<KvCacheShape, unknown> = {
  slots: COUNT,
  capacity: COUNT,
  kvHeads: DIMENSION,
  headDim: HEAD_DIM,
};

export function headsDivide({ heads, kvHeads }: { heads: number; kvHeads: number }): string | undefined {
  return heads % kvHeads === 0 ? undefined : `${kvHeads} key heads do not divide ${heads} heads`;
}

export const SEQUENCES: NonNullable<Signature<AttentionShape, unknown>['conditions']> = [
  headsDivide,
  ({ causal, window }) => (!causal && window !== 0 ? `a window of ${window} without causality` : undefined),
  ({ causal, keys, bias }) =>
    keys && (causal || bias) ? 'cross attention is neither causal nor has it a bias' : undefined,
];

export function queries({ batch, length, heads, headDim }: AttentionShape): number {
  return batch * length * heads * headDim;
}

export function keysOf({ batch, length, keys, kvHeads, headDim }: AttentionShape): number {
  return batch * (keys ? keys.length : length) * kvHeads * headDim;
}

export function cached({ slots, capacity, kvHeads, headDim }: KvCacheShape): number {
  return slots * capacity * kvHeads * headDim;
}

export function cells({ rows, dim }: { readonly rows: number; readonly dim: number }): number {
  return rows * dim;
}

export function elements({ n }: { readonly n: number }): number {
  return n;
}

export function rowCount({ rows }: { readonly rows: number }): number {
  return rows;
}

export function width({ dim }: { readonly dim: number }): number {
  return dim;
}

export const one = (): number => 1;

/** What each kernel's arguments may be. */
export type Signatures = { readonly [K in keyof Kernels]: Signature<Arguments<K>> };
