/**
 * T5 (arXiv:1910.10683) and Flan-T5 (arXiv:2210.11416): an encoder and a decoder. T5 1.1, which Flan-T5 is, has a gated MLP and a head of
 * its own; the first T5 a plain one with ReLU, and as its head the embedding's table over hidden states times d_model^-0.5.
 */

import { z } from 'zod';
import { EncoderDecoder } from '../blocks/encoder-decoder.js';
import { defineFamily } from '../family.js';
import { noForm } from '../gguf.js';
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

/** T5 1.1's configuration, which Flan-T5 shares. */
function flanT5(
  d_model: number,
  d_ff: number,
  num_layers: number,
  num_heads: number,
): Record<string, unknown> {
  return {
    ...{ model_type: 't5', d_model, d_kv: 64, d_ff, num_layers, num_decoder_layers: num_layers, num_heads },
    vocab_size: 32128,
    n_positions: 512,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    layer_norm_epsilon: 1e-6,
    feed_forward_proj: 'gated-gelu',
    is_encoder_decoder: true,
    decoder_start_token_id: 0,
    tie_word_embeddings: false,
  };
}

const ROWS = { batch: 16, length: 512, decoderLength: 128 };

export const t5 = defineFamily({
  schema,
  contextLength: (c) => c.n_positions,
  build(c, path, weights) {
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
  },
  gguf: (c, path) => noForm(c.model_type, path),
  modules: {
    ...{ q_proj: 'q', k_proj: 'k', v_proj: 'v', o_proj: 'o' },
    ...{ gate_proj: 'wi_0', up_proj: 'wi_1', down_proj: 'wo' },
  },
  embedding: 'shared',
  embeddingAliases: ['encoder.embed_tokens', 'decoder.embed_tokens'],
  taskType: 'SEQ_2_SEQ_LM',
  // What goes into a tied head is scaled.
  untied: (config) => ({
    scale_decoder_outputs: config['scale_decoder_outputs'] ?? config['tie_word_embeddings'] ?? true,
  }),
  shapes: {
    'flan-t5-base': { config: flanT5(768, 2048, 12, 12), ...ROWS },
    'flan-t5-large': { config: flanT5(1024, 2816, 24, 16), ...ROWS },
  },
  benchRows: () => ROWS,
});
