/** Every kernel's cases and tolerance: a kernel without either does not compile. */

import type { Kernels } from '../../../src/backends/kernels.js';
import { attentionCases } from './attentions.js';
import type { Case } from './harness.js';
import { layerNormCases } from './layer-norm.js';
import { loraCases } from './lora.js';
import { matrixCases } from './matrices.js';
import { otherCases } from './others.js';
import { rmsNormCases } from './rms-norm.js';
import { rowCases } from './rows.js';
import { weightCases } from './weights.js';

export const CASES: Readonly<Record<keyof Kernels, readonly Case[]>> = {
  ...matrixCases,
  ...loraCases,
  ...attentionCases,
  ...otherCases,
  ...rmsNormCases,
  ...rowCases,
  ...weightCases,
  ...layerNormCases,
};

/**
 * How far a kernel may be from the reference, and the reference from the test's formulas, as a share of the largest value. 0: no
 * arithmetic, or arithmetic that is rounded once, or numbers that decide (codes, masks). Else some roundings of float32 (6e-8).
 */
export const TOLERANCE: Readonly<Record<keyof Kernels, number>> = {
  gemm: 2e-6,
  gemms: 2e-6,
  loraDown: 2e-6,
  loraDownBackward: 2e-6,
  loraUpBackward: 2e-6,
  quantizeNf4: 0,
  quantizeScales: 0,
  dequantizeNf4: 0,
  convert: 0,
  embedding: 0,
  embeddingBackward: 1e-6,
  fillNormal: 1e-6,
  addUniformNoise: 0,
  rmsNorm: 1e-6,
  rmsNormBackward: 2e-6,
  layerNorm: 1e-6,
  layerNormBackward: 2e-6,
  activate: 1e-6,
  activateBackward: 1e-6,
  gatedUnit: 1e-6,
  gatedUnitBackward: 1e-6,
  rope: 3e-7,
  attention: 2e-6,
  attentionBackward: 5e-6,
  cacheWrite: 0,
  attentionCached: 2e-6,
  crossEntropy: 1e-6,
  argmax: 0,
  sample: 0,
  gatherRows: 0,
  scatterRows: 0,
  add: 0,
  scale: 0,
  copy: 0,
  fill: 0,
  sumRows: 1e-6,
  dropout: 0,
  sumSquares: 1e-7,
  clipCoefficient: 2e-7,
  adamw: 1e-6,
};

/** Where large terms may cancel: the size of the terms, by which the error is measured when the result is smaller. */
export const TERMS: Readonly<Partial<Record<keyof Kernels, number>>> = {
  gemm: 1,
  gemms: 1,
  loraDown: 1,
  loraDownBackward: 1,
  loraUpBackward: 1,
  rmsNormBackward: 1,
  layerNormBackward: 1,
  activate: 1,
  activateBackward: 1,
  attentionBackward: 1,
};
