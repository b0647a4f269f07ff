/**
 * Gemma 3 without its eyes (arXiv:2503.19786): local layers with a window between global ones, each kind with a rotation of its own;
 * norms on both sides of attention and MLP and over heads, all of whose weights are kept less 1; embeddings grown by sqrt(hidden_size).
 */

import { z } from 'zod';
import { Decoder, LLAMA } from '../blocks/decoder.js';
import {
  decoderConfig,
  decoderSchema,
  layerTypes,
  layerTypesSchema,
  ropeParameters,
  ropeSchema,
} from '../config.js';
import { defineFamily } from '../family.js';

const uncapped = z
  .null({ error: 'soft-capping of logits is not supported: null is what Gemma 3 has' })
  .optional();

const schema = decoderSchema.omit({ hidden_act: true }).extend({
  hidden_activation: z.literal('gelu_pytorch_tanh').default('gelu_pytorch_tanh'),
  head_dim: decoderSchema.shape.head_dim.transform((size) => size ?? 256),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: z.int().positive().default(4096),
  sliding_window_pattern: z.int().positive().default(6),
  layer_types: layerTypesSchema,
  rope_theta: decoderSchema.shape.rope_theta.transform((theta) => theta ?? 1_000_000),
  rope_local_base_freq: z.number().positive().default(10_000),
  /** transformers 5; before it `rope_scaling` was that of the global layers. */
  rope_parameters: z
    .object({ full_attention: ropeSchema.nullish(), sliding_attention: ropeSchema.nullish() })
    .nullish(),
  final_logit_softcapping: uncapped,
  attn_logit_softcapping: uncapped,
  use_bidirectional_attention: z
    .literal(false, { error: 'attention to later tokens is not supported: false is what text models have' })
    .nullish(),
});

const GEMMA3_1B = {
  model_type: 'gemma3_text',
  hidden_size: 1152,
  intermediate_size: 6912,
  num_hidden_layers: 26,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 256,
  vocab_size: 262144,
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-6,
  hidden_activation: 'gelu_pytorch_tanh',
  query_pre_attn_scalar: 256,
  rope_theta: 1_000_000,
  rope_local_base_freq: 10_000,
  sliding_window: 512,
  sliding_window_pattern: 6,
  tie_word_embeddings: true,
  initializer_range: 0.02,
};

export const gemma3_text = defineFamily({
  schema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const types = layerTypes(c, path, (layer) => (layer + 1) % c.sliding_window_pattern !== 0);
    const local = (layer: number): boolean => types[layer] === 'sliding_attention';
    const config = decoderConfig({ ...c, rope_parameters: c.rope_parameters?.full_attention }, path);
    const localRope = ropeParameters(c.rope_parameters?.sliding_attention, c.rope_local_base_freq);
    const traits = {
      ...LLAMA,
      window: (layer: number) => (local(layer) ? c.sliding_window : 0),
      rope: (layer: number) => (local(layer) ? localRope : config.rope_parameters),
      queryKeyValueBias: c.attention_bias,
      outputBias: c.attention_bias,
      headNorms: true,
      outputNorms: true,
      normOffset: 1 as const,
      embeddingScale: Math.sqrt(c.hidden_size),
      scoreScale: 1 / Math.sqrt(c.query_pre_attn_scalar),
      activation: 'gelu_tanh' as const,
    };
    return Decoder.build(config, traits, weights);
  },
  shapes: { 'gemma3-1b': { config: GEMMA3_1B, batch: 4, length: 512 } },
});
