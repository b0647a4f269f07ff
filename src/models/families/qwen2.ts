/** Qwen 2 and 2.5 (arXiv:2407.10671): biases on queries, keys and values; a window on the upper layers where the config says so. */

import { z } from 'zod';
import { Decoder } from '../blocks/decoder.js';
import { decoderConfig, decoderSchema, parseConfig } from '../config.js';
import type { ModelBuilder } from '../load.js';

const schema = decoderSchema.extend({
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.int().nonnegative().default(28),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'])).nullish(),
});

export const build: ModelBuilder = (json, path, weights) => {
  const c = parseConfig(schema, json, path);
  const slides = (layer: number): boolean =>
    c.layer_types ? c.layer_types[layer] === 'sliding_attention' : layer >= c.max_window_layers;
  const traits = {
    window: (layer: number) => (c.use_sliding_window && slides(layer) ? (c.sliding_window ?? 0) : 0),
    queryKeyValueBias: true,
    outputBias: false,
    mlpBias: false,
  };
  return Decoder.build(decoderConfig(c, path), traits, weights);
};
