/** The cases again with activations in bfloat16, for backends that keep them so. */

import type { Kernels } from '../../../src/backends/kernels.js';
import { floats, type Case } from './harness.js';

/** Which arrays of a kernel's cases are activations. */
const ACTIVATIONS: Readonly<Partial<Record<keyof Kernels, readonly string[]>>> = {
  gemm: ['a', 'c', 'residual', 'extraA0', 'extraA1', 'extraA2'],
  gemms: ['a', 'other', 'c0', 'c1', 'c2', 'c3'],
  loraDown: ['x', 'u'],
  loraDownBackward: ['x', 'given', 'dx'],
  loraUpBackward: ['x', 'given', 'du'],
  embedding: ['y'],
  embeddingBackward: ['dy'],
  addUniformNoise: ['x'],
  rmsNorm: ['x', 'y'],
  rmsNormBackward: ['dy', 'x', 'dx'],
  layerNorm: ['x', 'y'],
  layerNormBackward: ['dy', 'x', 'dx'],
  activate: ['x', 'y'],
  activateBackward: ['dy', 'x', 'dx'],
  gatedUnit: ['gate', 'up', 'y'],
  gatedUnitBackward: ['dy', 'gate', 'up', 'dGate', 'dUp'],
  rope: ['x', 'y'],
  attention: ['q', 'k', 'v', 'out'],
  attentionBackward: ['q', 'k', 'v', 'out', 'dOut', 'dq', 'dk', 'dv'],
  cacheWrite: ['x'],
  attentionCached: ['q', 'out'],
  crossEntropy: ['gradient'],
  gatherRows: ['x', 'y'],
  scatterRows: ['x', 'y'],
  add: ['a', 'b', 'y'],
  scale: ['a', 'y'],
  fill: ['y'],
  sumRows: ['x'],
  dropout: ['x', 'y'],
};

/** A rounding of a result is 2⁻⁹ of it; probabilities and weights are rounded on the way, too. */
const TOLERANCE = 1e-2;

export function bf16Cases(kernel: keyof Kernels, cases: readonly Case[]): Case[] {
  const names = ACTIVATIONS[kernel];
  if (!names) return [];
  return cases.map((test) => {
    const arrays = { ...test.arrays };
    for (const name of names) {
      // A weight's gradient, the product with a transposed left factor, is f32.
      if (kernel === 'gemm' && test.name.includes('transA') && name !== 'a' && !name.startsWith('extraA'))
        continue;
      const array = arrays[name];
      if (array?.data instanceof Float32Array) arrays[name] = floats('bf16', array.data);
    }
    return { ...test, name: `bf16: ${test.name}`, arrays, expected: undefined, tolerance: TOLERANCE };
  });
}
