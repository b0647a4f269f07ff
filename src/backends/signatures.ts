/**
 * The contract's table of kernels once more, as what their arguments may be: types, least lengths, ranges. A kernel or an argument that
 * is missing here does not compile. `rows * cols` of sizes that are no sensible product of each other is larger than any span, so that no
 * product needs a check of its own.
 */

import { BYTES_PER_ELEMENT, type DenseMatrix, type DType, type Nf4Matrix, type Span } from './span.js';
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
  RowGroup,
  ThinProduct,
} from './kernels.js';
import {
  choice,
  COUNT,
  DIMENSION,
  ELEMENTS,
  F32,
  FLAG,
  I32,
  indices,
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
} from './rules.js';

export type Arguments<K extends keyof Kernels> = Parameters<Kernels[K]>[0];

/** Types of a key-value cache, and of plain memory. */
const STORED = ['f32', 'bf16'] as const;
const ANY = Object.keys(BYTES_PER_ELEMENT) as readonly DType[];
/** What a product of activations in bf16 may come out as. */
const PRODUCTS = ['bf16', 'f32'] as const;
const PRECISION = choice({ f32: true, bf16: true });
const ACTIVATION = choice<Activation>({ gelu: true, gelu_tanh: true, relu: true });
const GATE = choice<GateActivation>({ silu: true, gelu_tanh: true });
const WEIGHT_OFFSET = { kind: 'choice', values: [0, 1] } as const;
const SHARE = real('a number from 0 to less than 1', (p) => p >= 0 && p < 1);

const RANDOM = part<RandomStream, unknown>({ rules: { seed: WORD, stream: WORD, step: WORD } });
const DROPOUT = { p: SHARE, random: RANDOM, firstElement: ELEMENTS };

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

const GROUP: Signature<RowGroup, GemmArgs> = { rules: { first: COUNT, rows: DIMENSION, count: COUNT } };

const GEMM: Signature<GemmArgs, unknown> = {
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

const LORA: Rules<LoraShape, unknown> = { rows: COUNT, cols: DIMENSION, r: DIMENSION, precision: PRECISION };
const LORA_DROPOUT = optional(part<Dropout, unknown>({ rules: DROPOUT }));

const KEYS: Signature<CrossKeys, AttentionShape> = {
  rules: { length: COUNT, segments: span(I32, (keys, shape) => shape.batch * keys.length) },
};

const BIAS: Signature<DistanceBias, { readonly heads: number }> = {
  rules: {
    values: span(F32, (bias, shape) => shape.heads * (2 * bias.reach - 1)),
    reach: DIMENSION,
  },
};

const HEAD_DIM = size(1, (limits) => Math.min(MOST, limits.headDim));

const ATTENTION: Rules<AttentionShape, unknown> = {
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

const CACHE: Rules<KvCacheShape, unknown> = {
  slots: COUNT,
  capacity: COUNT,
  kvHeads: DIMENSION,
  headDim: HEAD_DIM,
};

function headsDivide({ heads, kvHeads }: { heads: number; kvHeads: number }): string | undefined {
  return heads % kvHeads === 0 ? undefined : `${kvHeads} key heads do not divide ${heads} heads`;
}

const SEQUENCES: Signature<AttentionShape, unknown>['conditions'] = [
  headsDivide,
  ({ causal, window }) => (!causal && window !== 0 ? `a window of ${window} without causality` : undefined),
  ({ causal, keys, bias }) =>
    keys && (causal || bias) ? 'cross attention is neither causal nor has it a bias' : undefined,
];

function queries({ batch, length, heads, headDim }: AttentionShape): number {
  return batch * length * heads * headDim;
}

function keysOf({ batch, length, keys, kvHeads, headDim }: AttentionShape): number {
  return batch * (keys ? keys.length : length) * kvHeads * headDim;
}

function cached({ slots, capacity, kvHeads, headDim }: KvCacheShape): number {
  return slots * capacity * kvHeads * headDim;
}

function cells({ rows, dim }: { readonly rows: number; readonly dim: number }): number {
  return rows * dim;
}

function elements({ n }: { readonly n: number }): number {
  return n;
}

function rowCount({ rows }: { readonly rows: number }): number {
  return rows;
}

function width({ dim }: { readonly dim: number }): number {
  return dim;
}

const one = (): number => 1;

export const SIGNATURES: { readonly [K in keyof Kernels]: Signature<Arguments<K>> } = {
  gemm: GEMM,
  gemms: { rules: { products: list(GEMM as Signature<GemmArgs, { products: readonly GemmArgs[] }>) } },

  loraDown: {
    rules: {
      ...LORA,
      x: span('activation', (a) => a.rows * a.cols),
      a: span(F32, (a) => a.r * a.cols),
      u: span(
        (a) => typeOf(a.x),
        (a) => a.rows * a.r,
      ),
      dropout: LORA_DROPOUT,
    },
  },
  loraDownBackward: {
    rules: {
      ...LORA,
      x: span('activation', (a) => a.rows * a.cols),
      du: span(
        (a) => typeOf(a.x),
        (a) => a.rows * a.r,
      ),
      a: span(F32, (a) => a.r * a.cols),
      dA: optional(span(F32, (a: LoraShape) => a.r * a.cols)),
      dx: optional(
        span(
          (a: Arguments<'loraDownBackward'>) => typeOf(a.x),
          (a) => a.rows * a.cols,
        ),
      ),
      accumulate: FLAG,
      dropout: LORA_DROPOUT,
    },
  },
  loraUpBackward: {
    rules: {
      ...LORA,
      dy: span('activation', (a) => a.rows * a.cols),
      u: span(
        (a) => typeOf(a.dy),
        (a) => a.rows * a.r,
      ),
      b: span(F32, (a) => a.cols * a.r),
      du: span(
        (a) => typeOf(a.dy),
        (a) => a.rows * a.r,
      ),
      dB: optional(span(F32, (a: LoraShape) => a.cols * a.r)),
      alpha: REAL,
    },
  },

  quantizeNf4: {
    rules: {
      n: ELEMENTS,
      x: span(NUMBERS, elements),
      packed: span(U8, (a) => Math.ceil(a.n / 2)),
      absmax: span(F32, (a) => Math.ceil(a.n / 64)),
    },
  },
  quantizeScales: {
    rules: {
      n: size(1, Number.MAX_SAFE_INTEGER),
      absmax: span(F32, elements),
      map: span(F32, () => 256),
      codes: span(U8, elements),
      scales: span(F32, (a) => Math.ceil(a.n / 256)),
      offset: span(F32, one),
    },
  },
  dequantizeNf4: {
    rules: { w: part(NF4), y: span(['f32', 'bf16'], ({ w }) => w.rows * w.cols) },
  },
  convert: { rules: { n: ELEMENTS, x: span(NUMBERS, elements), y: span(NUMBERS, elements) } },

  embedding: {
    rules: {
      rows: COUNT,
      table: part(DENSE),
      ids: indices(rowCount, (a) => a.table.rows),
      y: span('activation', (a) => a.rows * a.table.cols),
    },
  },
  embeddingBackward: {
    rules: {
      rows: COUNT,
      vocab: COUNT,
      dim: DIMENSION,
      ids: indices(rowCount, (a) => a.vocab),
      dy: span('activation', cells),
      dTable: span(F32, (a) => a.vocab * a.dim),
    },
  },
  fillNormal: { rules: { n: ELEMENTS, y: span(NUMBERS, elements), deviation: REAL, random: RANDOM } },
  addUniformNoise: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', cells),
      magnitude: span(F32, rowCount),
      random: RANDOM,
    },
  },

  rmsNorm: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', cells),
      w: span(F32, width),
      weightOffset: WEIGHT_OFFSET,
      y: span((a) => typeOf(a.x), cells),
      rstd: span(F32, rowCount),
      eps: REAL,
    },
  },
  rmsNormBackward: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', cells),
      dy: span((a) => typeOf(a.x), cells),
      w: span(F32, width),
      weightOffset: WEIGHT_OFFSET,
      rstd: span(F32, rowCount),
      dx: span((a) => typeOf(a.x), cells),
      accumulate: FLAG,
      dw: optional(span(F32, width)),
    },
  },
  layerNorm: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', cells),
      w: span(F32, width),
      b: span(F32, width),
      y: span((a) => typeOf(a.x), cells),
      mean: span(F32, rowCount),
      rstd: span(F32, rowCount),
      eps: REAL,
    },
  },
  layerNormBackward: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', cells),
      dy: span((a) => typeOf(a.x), cells),
      w: span(F32, width),
      mean: span(F32, rowCount),
      rstd: span(F32, rowCount),
      dx: span((a) => typeOf(a.x), cells),
      accumulate: FLAG,
      dw: optional(span(F32, width)),
      db: optional(span(F32, width)),
    },
  },

  activate: {
    rules: {
      n: ELEMENTS,
      x: span('activation', elements),
      y: span((a) => typeOf(a.x), elements),
      activation: ACTIVATION,
    },
  },
  activateBackward: {
    rules: {
      n: ELEMENTS,
      dy: span('activation', elements),
      x: span((a) => typeOf(a.dy), elements),
      dx: span((a) => typeOf(a.dy), elements),
      activation: ACTIVATION,
    },
  },
  gatedUnit: {
    rules: {
      n: ELEMENTS,
      activation: GATE,
      gate: span('activation', elements),
      up: span((a) => typeOf(a.gate), elements),
      y: span((a) => typeOf(a.gate), elements),
    },
  },
  gatedUnitBackward: {
    rules: {
      n: ELEMENTS,
      activation: GATE,
      dy: span('activation', elements),
      gate: span((a) => typeOf(a.dy), elements),
      up: span((a) => typeOf(a.dy), elements),
      dGate: span((a) => typeOf(a.dy), elements),
      dUp: span((a) => typeOf(a.dy), elements),
    },
  },

  rope: {
    rules: {
      rows: COUNT,
      heads: DIMENSION,
      headDim: DIMENSION,
      rotaryDim: size(2),
      x: span('activation', (a) => a.rows * a.heads * a.headDim),
      y: span(
        (a) => typeOf(a.x),
        (a) => a.rows * a.heads * a.headDim,
      ),
      cos: span(F32, (a) => (a.rows > 0 ? a.rotaryDim / 2 : 0)),
      sin: span(F32, (a) => a.cos.length),
      positions: indices(rowCount, (a) => Math.floor(a.cos.length / (a.rotaryDim / 2))),
      inverse: FLAG,
    },
    conditions: [
      ({ rotaryDim, headDim }) =>
        rotaryDim % 2 !== 0 || rotaryDim > headDim
          ? `rotaryDim is ${rotaryDim}, wanted an even number up to headDim, ${headDim}`
          : undefined,
    ],
  },
  attention: {
    rules: {
      ...ATTENTION,
      q: span('activation', queries),
      k: span((a) => typeOf(a.q), keysOf),
      v: span((a) => typeOf(a.q), keysOf),
      out: span((a) => typeOf(a.q), queries),
      lse: span(F32, (a) => a.batch * a.heads * a.length),
    },
    conditions: SEQUENCES,
  },
  attentionBackward: {
    rules: {
      ...ATTENTION,
      q: span('activation', queries),
      k: span((a) => typeOf(a.q), keysOf),
      v: span((a) => typeOf(a.q), keysOf),
      out: span((a) => typeOf(a.q), queries),
      dOut: span((a) => typeOf(a.q), queries),
      lse: span(F32, (a) => a.batch * a.heads * a.length),
      dq: span((a) => typeOf(a.q), queries),
      dk: span((a) => typeOf(a.q), keysOf),
      dv: span((a) => typeOf(a.q), keysOf),
      dBias: optional(span(F32, (a: AttentionShape) => (a.bias ? a.heads * (2 * a.bias.reach - 1) : 0))),
    },
    conditions: [...SEQUENCES, ({ dBias, bias }) => (dBias && !bias ? 'a gradient of no bias' : undefined)],
  },
  cacheWrite: {
    rules: {
      ...CACHE,
      rows: COUNT,
      x: span('activation', (a) => a.rows * a.kvHeads * a.headDim),
      cache: span(STORED, cached),
      slotOf: indices(rowCount, (a) => a.slots),
      positions: indices(rowCount, (a) => a.capacity),
    },
  },
  attentionCached: {
    rules: {
      ...CACHE,
      rows: COUNT,
      heads: DIMENSION,
      scale: REAL,
      window: COUNT,
      q: span('activation', (a) => a.rows * a.heads * a.headDim),
      keys: span(STORED, cached),
      values: span((a) => typeOf(a.keys), cached),
      slotOf: indices(rowCount, (a) => a.slots),
      positions: indices(rowCount, (a) => a.capacity),
      out: span(
        (a) => typeOf(a.q),
        (a) => a.rows * a.heads * a.headDim,
      ),
      bias: optional(part(BIAS)),
    },
    conditions: [headsDivide],
  },

  crossEntropy: {
    rules: {
      rows: COUNT,
      vocab: DIMENSION,
      logits: span(F32, (a) => a.rows * a.vocab),
      targets: { ...indices(rowCount, (a) => a.vocab), negative: true },
      losses: span(F32, rowCount),
      gradient: optional(
        part<
          { readonly to: Span; readonly scale: number },
          { readonly rows: number; readonly vocab: number }
        >({
          rules: { to: span('activation', (_, a) => a.rows * a.vocab), scale: REAL },
        }),
      ),
    },
  },
  argmax: {
    rules: {
      rows: COUNT,
      cols: DIMENSION,
      x: span(F32, (a) => a.rows * a.cols),
      out: span(I32, rowCount),
    },
  },
  sample: {
    rules: {
      rows: COUNT,
      vocab: DIMENSION,
      logits: span(F32, (a) => a.rows * a.vocab),
      draws: span(I32, rowCount),
      out: span(I32, rowCount),
      temperature: real('a finite number above 0', (t) => t > 0 && t < Infinity),
      topK: COUNT,
      topP: real('a number from 0 to 1', (p) => p >= 0 && p <= 1),
    },
  },

  gatherRows: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', (a) => (a.rows > 0 ? a.dim : 0)),
      index: indices(rowCount, (a) => Math.floor(a.x.length / a.dim)),
      y: span((a) => typeOf(a.x), cells),
    },
  },
  scatterRows: {
    rules: {
      rows: COUNT,
      dim: DIMENSION,
      x: span('activation', cells),
      y: span((a) => typeOf(a.x), cells),
      index: indices(rowCount, (a) => Math.floor(a.y.length / a.dim)),
    },
  },

  add: {
    rules: {
      n: ELEMENTS,
      a: span('activation', elements),
      b: span((args) => typeOf(args.a), elements),
      y: span((args) => typeOf(args.a), elements),
    },
  },
  scale: {
    rules: {
      n: ELEMENTS,
      x: span('activation', elements),
      y: span((a) => typeOf(a.x), elements),
      alpha: REAL,
    },
  },
  copy: { rules: { n: ELEMENTS, x: span(ANY, elements), y: span((a) => typeOf(a.x), elements) } },
  fill: { rules: { n: ELEMENTS, y: span('activation', elements), value: REAL } },
  sumRows: {
    rules: {
      rows: COUNT,
      cols: DIMENSION,
      x: span('activation', (a) => a.rows * a.cols),
      y: span(F32, (a) => a.cols),
      accumulate: FLAG,
    },
  },
  dropout: {
    rules: {
      ...DROPOUT,
      n: ELEMENTS,
      x: span('activation', elements),
      y: span((a) => typeOf(a.x), elements),
      accumulate: FLAG,
    },
  },

  sumSquares: { rules: { n: ELEMENTS, x: span(F32, elements), out: span(F32, one), accumulate: FLAG } },
  clipCoefficient: { rules: { sumSquares: span(F32, one), maxNorm: REAL, out: span(F32, one) } },
  adamw: {
    rules: {
      n: ELEMENTS,
      param: span(F32, elements),
      grad: span(F32, elements),
      m: span(F32, elements),
      v: span(F32, elements),
      lr: REAL,
      beta1: REAL,
      beta2: REAL,
      eps: REAL,
      weightDecay: REAL,
      step: size(1, Number.MAX_SAFE_INTEGER),
      gradScale: span(F32, one),
    },
  },
};
