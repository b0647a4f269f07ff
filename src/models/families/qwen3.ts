/**
 * Qwen 3 (arXiv:2505.09388), its dense models: Qwen 2 with norms over each head's queries and keys in the place of biases, and heads of a
 * size that config.json gives.
 */

import { z } from 'zod';
import { Decoder, LLAMA } from '../blocks/decoder.js';
import { decoderConfig } from '../config.js';
import { defineFamily } from '../family.js';
import { decoderForm, refuseForm } from '../gguf.js';
import { decoderFields } from '../gguf-facts.js';
import { llamaLike } from './llama.js';
import { qwenSchema, qwenWindow, refuseWindow } from './qwen2.js';

const schema = qwenSchema.extend({
  attention_bias: z.boolean().default(false),
  head_dim: qwenSchema.shape.head_dim.transform((size) => size ?? 128),
});

const QWEN3_8B = {
  model_type: 'qwen3',
  head_dim: 128,
  max_position_embeddings: 40960,
  rope_theta: 1_000_000,
  attention_bias: false,
  use_sliding_window: false,
  max_window_layers: 36,
};

export const qwen3 = defineFamily({
  schema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const traits = {
      ...LLAMA,
      window: qwenWindow(c, path),
      queryKeyValueBias: c.attention_bias,
      outputBias: c.attention_bias,
      headNorms: true,
    };
    return Decoder.build(decoderConfig(c, path), traits, weights);
  },
  gguf(c, path) {
    refuseWindow(c, path);
    refuseForm(c.attention_bias, path, 'attention_bias is true');
    return decoderForm('qwen3', decoderConfig(c, path), LLAMA, path);
  },
  fromGguf: {
    architecture: 'qwen3',
    config: (f) => ({ model_type: 'qwen3', ...decoderFields(f), use_sliding_window: false }),
  },
  shapes: {
    'qwen3-8b': { config: llamaLike([4096, 12288, 36, 32, 8, 151936], QWEN3_8B), batch: 4, length: 512 },
  },
});
