/**
 * T5 (arXiv:1910.10683) and Flan-T5 (arXiv:2210.11416): an encoder and a decoder. T5 1.1, which Flan-T5 is, has a gated MLP and a head of
 * its own; the first T5 a plain one with ReLU, and as its head the embedding's table over hidden states times d_model^-0.5.
 */

import { z } from 'zod';
import { EncoderDecoder } from '../blocks/encoder-decoder.js';
import { parseConfig } from '../config.js';
import type { ModelBuilder } from '../load.js';
import { UserError } from '../../util/errors.js';

const size = z
  .int()
  .positive()
  .max(1 << 24);
const few = z.int().positive().max(4096);

const schema = z.object({
  model_type: z.string(),
  vocab_size: size,
  d_model: size,
  d_kv: z.int().positive().max(1024),
  d_ff: size,
  num_layers: few,
  num_decoder_layers: few.nullish(),
  num_heads: few,
  relative_attention_num_buckets: z.int().min(4).max(4096).default(32),
  relative_attention_max_distance: z
    .int()
    .positive()
    .max(1 << 16)
    .default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  feed_forward_proj: z.enum(['relu', 'gated-gelu']).default('relu'),
  decoder_start_token_id: z.int().nonnegative().default(0),
  tie_word_embeddings: z.boolean().default(true),
  scale_decoder_outputs: z.boolean().nullish(),
  n_positions: size.default(512),
});

export const build: ModelBuilder = (json, path, weights) => {
  const c = parseConfig(schema, json, path);
  if (c.decoder_start_token_id >= c.vocab_size)
    throw new UserError(
      `${path}: decoder_start_token_id is ${c.decoder_start_token_id}, but the vocabulary has ${c.vocab_size} tokens`,
    );
  // transformers 4 scaled where the head is tied; 5 says so, and calls every head tied, also one that the checkpoint has apart.
  const scaled = c.scale_decoder_outputs ?? c.tie_word_embeddings;
  return EncoderDecoder.build(
    {
      model_type: c.model_type,
      vocab_size: c.vocab_size,
      hidden_size: c.d_model,
      intermediate_size: c.d_ff,
      num_encoder_layers: c.num_layers,
      num_decoder_layers: c.num_decoder_layers ?? c.num_layers,
      num_attention_heads: c.num_heads,
      head_dim: c.d_kv,
      max_position_embeddings: c.n_positions,
      rms_norm_eps: c.layer_norm_epsilon,
      tie_word_embeddings: c.tie_word_embeddings,
      decoder_start_token_id: c.decoder_start_token_id,
      num_buckets: c.relative_attention_num_buckets,
      max_distance: c.relative_attention_max_distance,
      gated: c.feed_forward_proj === 'gated-gelu',
      head_scale: scaled ? c.d_model ** -0.5 : 1,
    },
    weights,
  );
};
