/** Mistral 7B (arXiv:2310.06825) and its descendants, the Zephyrs among them: Llama's decoder with a sliding window on every layer. */

import { Decoder, LLAMA } from '../blocks/decoder.js';
import { decoderConfig, decoderSchema } from '../config.js';
import { defineFamily } from '../family.js';
import { decoderForm } from '../gguf.js';
import { llamaLike } from './llama.js';

const SMALL = { model_type: 'mistral' };
const MISTRAL_7B = {
  ...SMALL,
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-5,
  sliding_window: 4096,
};

export const mistral = defineFamily({
  schema: decoderSchema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const traits = { ...LLAMA, window: () => c.sliding_window ?? 0 };
    return Decoder.build(decoderConfig(c, path), traits, weights);
  },
  gguf(c, path) {
    const form = decoderForm('llama', decoderConfig(c, path), LLAMA, path);
    const window = c.sliding_window ?? Infinity;
    if (window >= c.max_position_embeddings) return form;
    const notes = [
      `llama.cpp attends to all tokens here, where this model sees the last ${window}: longer texts differ`,
    ];
    return { ...form, notes };
  },
  shapes: {
    // The two that the PyTorch peer script measures on a CPU.
    '6m': { config: llamaLike([256, 688, 6, 4, 2, 4096], SMALL), batch: 8, length: 256 },
    '126m': { config: llamaLike([768, 2048, 12, 12, 4, 32000], SMALL), batch: 4, length: 512 },
    'mistral-7b': { config: llamaLike([4096, 14336, 32, 32, 8, 32000], MISTRAL_7B), batch: 4, length: 512 },
  },
});
