/** What is no matrix product: rows, elements, attention, losses, the optimizer. */

import type { AttentionShape } from '../kernels.js';
import type { Span } from '../span.js';
import {
  COUNT,
  DIMENSION,
  ELEMENTS,
  F32,
  FLAG,
  I32,
  indices,
  NUMBERS,
  optional,
  part,
  real,
  REAL,
  size,
  span,
  typeOf,
} from '../rules.js';
import {
  STORED,
  ANY,
  ACTIVATION,
  GATE,
  WEIGHT_OFFSET,
  RANDOM,
  DROPOUT,
  DENSE,
  BIAS,
  ATTENTION,
  CACHE,
  headsDivide,
  SEQUENCES,
  queries,
  keysOf,
  cached,
  cells,
  elements,
  rowCount,
  SHARE,
  width,
  one,
  type Signatures,
} from './shapes.js';
import type { PRODUCTS } from './products.js';

export const ROWS: Omit<Signatures, keyof typeof PRODUCTS> = {
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
      smoothing: optional(SHARE),
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
