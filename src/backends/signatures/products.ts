/** Matrix products, LoRA's among them, and quantized weights. */

import type { GemmArgs, LoraShape } from '../kernels.js';
import {
  ELEMENTS,
  F32,
  FLAG,
  list,
  NUMBERS,
  optional,
  part,
  REAL,
  size,
  span,
  typeOf,
  U8,
  type Signature,
} from '../rules.js';
import { NF4, GEMM, LORA, LORA_DROPOUT, elements, one, type Arguments, type Signatures } from './shapes.js';

export const PRODUCTS: Pick<
  Signatures,
  | 'gemm'
  | 'gemms'
  | 'loraDown'
  | 'loraDownBackward'
  | 'loraUpBackward'
  | 'quantizeNf4'
  | 'quantizeScales'
  | 'dequantizeNf4'
  | 'convert'
> = {
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
};
