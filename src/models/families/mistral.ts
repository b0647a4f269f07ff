/** Mistral 7B (arXiv:2310.06825) and its descendants, the Zephyrs among them: Llama's decoder with a sliding window on every layer. */

import { Decoder, LLAMA } from '../blocks/decoder.js';
import { decoderConfig, decoderSchema, parseConfig } from '../config.js';
import type { ModelBuilder } from '../load.js';

export const build: ModelBuilder = (json, path, weights) => {
  const c = parseConfig(decoderSchema, json, path);
  const traits = { ...LLAMA, window: () => c.sliding_window ?? 0 };
  return Decoder.build(decoderConfig(c, path), traits, weights);
};
