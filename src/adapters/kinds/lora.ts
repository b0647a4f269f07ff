/** LoRA (Hu et al., arXiv:2106.09685): W + scaling · B·A. It starts as PEFT's does: A uniform in ±1/sqrt(in) (Kaiming with a = sqrt 5), B zero. */

import { addUpdate, Lora } from '../../ops/lora.js';
import { philoxFill } from '../../util/philox.js';
import type { AdaptedModule, AdapterKind } from './kind.js';

export const LORA: AdapterKind<'lora_A.weight' | 'lora_B.weight'> = {
  peft: {},
  tensors: {
    'lora_A.weight': {
      shape: ({ r, inFeatures }) => [r, inFeatures],
      start: uniform,
      raw: 'lora_A.default.weight',
    },
    'lora_B.weight': {
      shape: ({ r, outFeatures }) => [outFeatures, r],
      start: ({ r, outFeatures }) => new Float32Array(outFeatures * r),
      raw: 'lora_B.default.weight',
    },
  },
  operation: ({ 'lora_A.weight': a, 'lora_B.weight': b }, { scaling, stream }, dropout) =>
    new Lora(a, b, { scaling, dropout, stream }),
  merge(weight, { 'lora_A.weight': a, 'lora_B.weight': b }, scaling) {
    addUpdate(weight.backend, weight, a, b, scaling);
  },
};

/** Keeps the numbers of the start apart from those of the masks, whose last counter word is 0. */
const INITIAL = 1;

function uniform({ r, inFeatures, stream }: AdaptedModule, seed: number): Float32Array {
  const words = new Uint32Array(r * inFeatures);
  const bound = 1 / Math.sqrt(inFeatures);
  philoxFill(words, [0, 0, 0, INITIAL], 1, [seed, stream]);
  const a = new Float32Array(words.length);
  for (let i = 0; i < a.length; i++) a[i] = bound * (words[i]! / 2 ** 31 - 1);
  return a;
}
