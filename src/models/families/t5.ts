/**
 * T5 (arXiv:1910.10683) and Flan-T5 (arXiv:2210.11416): an encoder and a decoder. T5 1.1, which Flan-T5 is, has a gated MLP and a head of
 * its own; the first T5 a plain one with ReLU, and as its head the embedding's table over hidden states times d_model^-0.5.
 */

import { z } from 'zod';
import { EncoderDecoder } from '../blocks/encoder-decoder.js';
import { defineFamily } from '../family.js';
import { commonKeys, flag, float, refuseForm, uint, type GgufForm } from '../gguf.js';
import type { Fields, GgufFacts } from '../gguf-facts.js';
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

type Config = z.infer<typeof schema>;

/** transformers 4 scaled where the head is tied; 5 says so, and calls every head tied, also one that the checkpoint has apart. */
function headScale(c: Config): number {
  return (c.scale_decoder_outputs ?? c.tie_word_embeddings) ? c.d_model ** -0.5 : 1;
}

/** What llama.cpp has written into its program. */
const GGUF_DISTANCE = 128;

function attentionNames(at: string, kind: string, to: string): Record<string, string> {
  return {
    [`${at}.layer_norm`]: `${to}_norm`,
    [`${at}.${kind}.q`]: `${to}_q`,
    [`${at}.${kind}.k`]: `${to}_k`,
    [`${at}.${kind}.v`]: `${to}_v`,
    [`${at}.${kind}.o`]: `${to}_o`,
    // Older checkpoints have one of the attention to the encoder, too, which nobody reads.
    [`${at}.${kind}.relative_attention_bias`]: `${to}_rel_b`,
  };
}

function mlpNames(at: string): Record<string, string> {
  return {
    [`${at}.layer_norm`]: 'ffn_norm',
    [`${at}.DenseReluDense.wi`]: 'ffn_up',
    [`${at}.DenseReluDense.wi_0`]: 'ffn_gate',
    [`${at}.DenseReluDense.wi_1`]: 'ffn_up',
    [`${at}.DenseReluDense.wo`]: 'ffn_down',
  };
}

/** llama.cpp scales nothing before the head: the last norm does it there. */
function form(c: Config, path: string): GgufForm {
  const decoderLayers = c.num_decoder_layers ?? c.num_layers;
  const distance = c.relative_attention_max_distance;
  refuseForm(distance !== GGUF_DISTANCE, path, `relative_attention_max_distance is ${distance}`);
  refuseForm(decoderLayers > c.num_layers, path, 'the decoder has more layers than the encoder');
  const gated = c.feed_forward_proj === 'gated-gelu';
  const mlp = (at: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(mlpNames(at)).filter(([name]) => !/wi/.test(name) || /wi_/.test(name) === gated),
    );
  const scale = headScale(c);
  return {
    architecture: 't5',
    keys: {
      ...commonKeys({
        max_position_embeddings: c.n_positions,
        hidden_size: c.d_model,
        intermediate_size: c.d_ff,
        num_hidden_layers: c.num_layers,
        num_attention_heads: c.num_heads,
        vocab_size: c.vocab_size,
      }),
      decoder_block_count: uint(decoderLayers),
      'attention.key_length': uint(c.d_kv),
      'attention.value_length': uint(c.d_kv),
      'attention.layer_norm_epsilon': float(c.layer_norm_epsilon),
      'attention.layer_norm_rms_epsilon': float(c.layer_norm_epsilon),
      'attention.relative_buckets_count': uint(c.relative_attention_num_buckets),
      decoder_start_token_id: uint(c.decoder_start_token_id),
      // A converter's file, which scales nothing, says nothing.
      scale_decoder_outputs: flag(false),
    },
    names: {
      stacks: [
        {
          ...{ layers: 'encoder.block', blocks: 'enc.blk', count: c.num_layers },
          inLayer: { ...attentionNames('layer.0', 'SelfAttention', 'attn'), ...mlp('layer.1') },
        },
        {
          ...{ layers: 'decoder.block', blocks: 'dec.blk', count: decoderLayers },
          inLayer: {
            ...attentionNames('layer.0', 'SelfAttention', 'attn'),
            ...attentionNames('layer.1', 'EncDecAttention', 'cross_attn'),
            ...mlp('layer.2'),
          },
        },
      ],
      outside: {
        shared: 'token_embd',
        'encoder.final_layer_norm': 'enc.output_norm',
        'decoder.final_layer_norm': 'dec.output_norm',
        lm_head: 'output',
      },
    },
    orders: {},
    factors: scale === 1 ? {} : { 'dec.output_norm': scale },
    normOffset: 0,
    ownHead: false,
    extra: {},
    notes: [],
  };
}

function fields(f: GgufFacts): Fields {
  const [d_model, num_layers, num_heads] = ['embedding_length', 'block_count', 'attention.head_count'].map(
    (key) => f.needed(key),
  ) as [number, number, number];
  const tied = !f.has('output.weight');
  return {
    model_type: 't5',
    vocab_size: f.file.info('token_embd.weight').shape[0],
    ...{ d_model, num_layers, num_heads },
    d_kv: f.number('attention.key_length') ?? d_model / num_heads,
    d_ff: f.needed('feed_forward_length'),
    num_decoder_layers: f.number('decoder_block_count') ?? num_layers,
    relative_attention_num_buckets: f.needed('attention.relative_buckets_count'),
    relative_attention_max_distance: GGUF_DISTANCE,
    layer_norm_epsilon: f.needed('attention.layer_norm_rms_epsilon'),
    feed_forward_proj: f.has('enc.blk.0.ffn_gate.weight') ? 'gated-gelu' : 'relu',
    is_encoder_decoder: true,
    decoder_start_token_id: f.number('decoder_start_token_id') ?? 0,
    tie_word_embeddings: tied,
    scale_decoder_outputs: f.flag('scale_decoder_outputs') ?? tied,
    n_positions: f.needed('context_length'),
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
        head_scale: headScale(c),
      },
      weights,
    );
  },
  gguf: form,
  fromGguf: { architecture: 't5', config: fields },
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
