/**
 * Gemma 3 without its eyes (arXiv:2503.19786): local layers with a window between global ones, each kind with a rotation of its own;
 * norms on both sides of attention and MLP and over heads, all of whose weights are kept less 1; embeddings grown by sqrt(hidden_size).
 */

import { z } from 'zod';
import { Decoder, LLAMA, type DecoderConfig, type DecoderTraits } from '../blocks/decoder.js';
import type { RopeParameters } from '../blocks/rotary.js';
import {
  decoderConfig,
  decoderSchema,
  layerTypes,
  layerTypesSchema,
  ropeParameters,
  ropeSchema,
} from '../config.js';
import { defineFamily } from '../family.js';
import { decoderForm, float, refuseForm, uint, type GgufForm } from '../gguf.js';
import { decoderFields, type Fields, type GgufFacts } from '../gguf-facts.js';

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

type Config = z.infer<typeof schema>;

/** What its layers are, and both rotations. */
function parts(
  c: Config,
  path: string,
): { config: DecoderConfig; local: (layer: number) => boolean; localRope: RopeParameters } {
  const types = layerTypes(c, path, (layer) => (layer + 1) % c.sliding_window_pattern !== 0);
  return {
    config: decoderConfig({ ...c, rope_parameters: c.rope_parameters?.full_attention }, path),
    local: (layer) => types[layer] === 'sliding_attention',
    localRope: ropeParameters(c.rope_parameters?.sliding_attention, c.rope_local_base_freq),
  };
}

function traits(c: Config, { config, local, localRope }: ReturnType<typeof parts>): DecoderTraits {
  return {
    ...LLAMA,
    window: (layer) => (local(layer) ? c.sliding_window : 0),
    rope: (layer) => (local(layer) ? localRope : config.rope_parameters),
    queryKeyValueBias: c.attention_bias,
    outputBias: c.attention_bias,
    headNorms: true,
    outputNorms: true,
    normOffset: 1,
    embeddingScale: Math.sqrt(c.hidden_size),
    scoreScale: 1 / Math.sqrt(c.query_pre_attn_scalar),
    activation: 'gelu_tanh',
  };
}

/** llama.cpp knows a global layer behind every so many local ones. */
function form(c: Config, path: string): GgufForm {
  const { config, local, localRope } = parts(c, path);
  refuseForm(c.attention_bias, path, 'attention_bias is true');
  // That of the 27B it tells by its layers.
  const scalar = c.num_hidden_layers === 62 ? c.hidden_size / c.num_attention_heads : config.head_dim;
  refuseForm(c.query_pre_attn_scalar !== scalar, path, `query_pre_attn_scalar is not ${scalar}`);
  refuseForm(localRope.rope_type !== 'default', path, 'a scaled rotation of local layers');
  const layers = Array.from({ length: c.num_hidden_layers }, (_, i) => local(i));
  const period = layers.includes(false) ? layers.indexOf(false) + 1 : layers.length + 1;
  refuseForm(
    layers.some((is, i) => is !== i % period < period - 1),
    path,
    'global layers that do not come at one distance',
  );
  const base = decoderForm('gemma3', config, traits(c, parts(c, path)), path);
  const sliding = {
    'attention.sliding_window': uint(c.sliding_window),
    'attention.sliding_window_pattern': uint(period),
    'rope.freq_base_swa': float(localRope.rope_theta),
  };
  return { ...base, keys: { ...base.keys, ...(layers.includes(true) && sliding) } };
}

function fields(f: GgufFacts): Fields {
  f.refuse('final_logit_softcapping', (n) => n !== 0, 'soft-capping of logits');
  const common = decoderFields(f);
  const [layers, size, heads] = ['block_count', 'embedding_length', 'attention.head_count'].map((key) =>
    f.needed(key),
  ) as [number, number, number];
  const window = f.number('attention.sliding_window');
  return {
    model_type: 'gemma3_text',
    ...common,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: layers === 62 ? size / heads : common['head_dim'],
    ...(window === undefined
      ? { layer_types: Array<string>(layers).fill('full_attention') }
      : {
          sliding_window: window,
          sliding_window_pattern: f.number('attention.sliding_window_pattern') ?? 6,
          rope_local_base_freq: f.number('rope.freq_base_swa') ?? 10_000,
        }),
  };
}

export const gemma3_text = defineFamily({
  schema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const all = parts(c, path);
    return Decoder.build(all.config, traits(c, all), weights);
  },
  gguf: form,
  fromGguf: { architecture: 'gemma3', config: fields },
  shapes: { 'gemma3-1b': { config: GEMMA3_1B, batch: 4, length: 512 } },
});
