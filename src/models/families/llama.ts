/** Llama 1 to 3 (arXiv:2307.09288, arXiv:2407.21783) and what is built like them. */

import { z } from 'zod';
import { Decoder, LLAMA } from '../blocks/decoder.js';
import { decoderConfig, decoderSchema, parseConfig } from '../config.js';
import type { ModelBuilder } from '../load.js';

const schema = decoderSchema.extend({
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

export const build: ModelBuilder = (json, path, weights) => {
  const c = parseConfig(schema, json, path);
  const traits = {
    ...LLAMA,
    queryKeyValueBias: c.attention_bias,
    outputBias: c.attention_bias,
    mlpBias: c.mlp_bias,
  };
  return Decoder.build(decoderConfig(c, path), traits, weights);
};
