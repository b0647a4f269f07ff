/** Qwen 2 and 2.5 (arXiv:2407.10671): biases on queries, keys and values; a window on the upper layers where the config says so. */

import { z } from 'zod';
import { Decoder, LLAMA } from '../blocks/decoder.js';
import { decoderConfig, decoderSchema, layerTypes, layerTypesSchema } from '../config.js';
import { defineFamily } from '../family.js';
import { decoderForm, refuseForm } from '../gguf.js';
import { decoderFields } from '../gguf-facts.js';

export const qwenSchema = decoderSchema.extend({
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.int().nonnegative().default(28),
  layer_types: layerTypesSchema,
});

/** The window of each layer. */
export function qwenWindow(c: z.infer<typeof qwenSchema>, path: string): (layer: number) => number {
  const types = layerTypes(c, path, (layer) => layer >= c.max_window_layers);
  const window = c.use_sliding_window ? (c.sliding_window ?? 0) : 0;
  return (layer) => (types[layer] === 'sliding_attention' ? window : 0);
}

/** llama.cpp has no window in these families. */
export function refuseWindow(c: z.infer<typeof qwenSchema>, path: string): void {
  const window = qwenWindow(c, path);
  const slides = Array.from({ length: c.num_hidden_layers }, (_, i) => window(i)).some((n) => n > 0);
  refuseForm(slides, path, 'use_sliding_window is true');
}

export const qwen2 = defineFamily({
  schema: qwenSchema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const traits = { ...LLAMA, window: qwenWindow(c, path), queryKeyValueBias: true };
    return Decoder.build(decoderConfig(c, path), traits, weights);
  },
  gguf(c, path) {
    refuseWindow(c, path);
    return decoderForm('qwen2', decoderConfig(c, path), LLAMA, path);
  },
  fromGguf: {
    architecture: 'qwen2',
    config: (f) => ({ model_type: 'qwen2', ...decoderFields(f), use_sliding_window: false }),
  },
});
