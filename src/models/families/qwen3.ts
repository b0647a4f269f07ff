/**
 * Qwen 3 (arXiv:2505.09388), its dense models: Qwen 2 with norms over each head's queries and keys in the place of biases, and heads of a
 * size that config.json gives.
 */

import { z } from 'zod';
import { Decoder, LLAMA } from '../blocks/decoder.js';
import { decoderConfig, parseConfig } from '../config.js';
import type { ModelBuilder } from '../load.js';
import { qwenSchema, qwenWindow } from './qwen2.js';

const schema = qwenSchema.extend({
  attention_bias: z.boolean().default(false),
  head_dim: qwenSchema.shape.head_dim.transform((size) => size ?? 128),
});

export const build: ModelBuilder = (json, path, weights) => {
  const c = parseConfig(schema, json, path);
  const traits = {
    ...LLAMA,
    window: qwenWindow(c, path),
    queryKeyValueBias: c.attention_bias,
    outputBias: c.attention_bias,
    headNorms: true,
  };
  return Decoder.build(decoderConfig(c, path), traits, weights);
};
