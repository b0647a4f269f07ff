/**
 * GPT-NeoX (arXiv:2204.06745) and what is built like it: Pythia (arXiv:2304.01373), and RedPajama-INCITE, whose halves of a layer stand one
 * behind the other. A head's queries, keys and values lie next to each other; biases everywhere; a part of each head is turned.
 */

import { z } from 'zod';
import { UserError } from '../../util/errors.js';
import { FusedDecoder, FUSED_MODULES } from '../blocks/fused-decoder.js';
import type { RopeParameters } from '../blocks/rotary.js';
import { activationOf, fusedSchema, headSize, ropeParameters } from '../config.js';
import { defineFamily } from '../family.js';
import { commonKeys, flag, float, refuseForm, ropeKeys, ungrouped, type GgufForm } from '../gguf.js';
import { commonFields, ropeFields, type Fields, type GgufFacts } from '../gguf-facts.js';

const share = z.number().positive().max(1);

const schema = fusedSchema.extend({
  intermediate_size: z.int().positive(),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
  use_parallel_residual: z.boolean().default(true),
  attention_bias: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(false),
  /** transformers 5 has it in rope_parameters. */
  rotary_pct: share.default(0.25),
  partial_rotary_factor: share.optional(),
  rotary_emb_base: z.number().positive().nullish(),
});

/** RedPajama-INCITE's kind. */
function redpajama(
  hidden_size: number,
  intermediate_size: number,
  num_hidden_layers: number,
  num_attention_heads: number,
): Record<string, unknown> {
  return {
    model_type: 'gpt_neox',
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    vocab_size: 50432,
    max_position_embeddings: 2048,
    layer_norm_eps: 1e-5,
    hidden_act: 'gelu',
    rotary_pct: 1,
    rotary_emb_base: 10000,
    use_parallel_residual: false,
    tie_word_embeddings: false,
    initializer_range: 0.02,
  };
}

type Config = z.infer<typeof schema>;

/** How much of a head is turned, and how. */
function rotary(c: Config, path: string): { dim: number; parameters: RopeParameters } {
  const factor = c.rope_parameters?.partial_rotary_factor ?? c.partial_rotary_factor ?? c.rotary_pct;
  const dim = Math.floor(headSize(c, path) * factor);
  if (dim % 2 !== 0 || dim === 0)
    throw new UserError(`${path}: ${dim} elements of each head are turned, but only an even number can be`);
  const theta = c.rope_theta ?? c.rotary_emb_base ?? 10000;
  return { dim, parameters: ropeParameters(c.rope_parameters ?? c.rope_scaling, theta) };
}

function form(c: Config, path: string): GgufForm {
  const { dim, parameters } = rotary(c, path);
  refuseForm(!c.attention_bias, path, 'attention_bias is false');
  refuseForm(parameters.rope_type === 'llama3', path, "a rotation scaled as Llama 3's");
  return {
    architecture: 'gptneox',
    keys: {
      ...commonKeys(c),
      'attention.layer_norm_epsilon': float(c.layer_norm_eps),
      use_parallel_residual: flag(c.use_parallel_residual),
      ...ropeKeys(dim, parameters),
    },
    names: {
      stacks: [
        {
          ...{ layers: 'gpt_neox.layers', blocks: 'blk', count: c.num_hidden_layers },
          inLayer: {
            'attention.query_key_value': 'attn_qkv',
            'attention.dense': 'attn_output',
            'mlp.dense_h_to_4h': 'ffn_up',
            'mlp.dense_4h_to_h': 'ffn_down',
            input_layernorm: 'attn_norm',
            post_attention_layernorm: 'ffn_norm',
          },
        },
      ],
      outside: {
        'gpt_neox.embed_in': 'token_embd',
        'gpt_neox.final_layer_norm': 'output_norm',
        embed_out: 'output',
      },
    },
    orders: { attn_qkv: ungrouped(c.num_attention_heads, 1, headSize(c, path)) },
    factors: {},
    normOffset: 0,
    ownHead: true,
    extra: {},
    notes: [],
  };
}

function fields(f: GgufFacts): Fields {
  const headDim = f.needed('embedding_length') / f.needed('attention.head_count');
  const turned = f.number('rope.dimension_count') ?? headDim;
  return {
    model_type: 'gpt_neox',
    ...commonFields(f),
    intermediate_size: f.needed('feed_forward_length'),
    layer_norm_eps: f.needed('attention.layer_norm_epsilon'),
    hidden_act: 'gelu',
    use_parallel_residual: f.flag('use_parallel_residual') ?? true,
    rotary_pct: turned / headDim,
    ...ropeFields(f, turned),
  };
}

export const gpt_neox = defineFamily({
  schema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const traits = {
      heads: { groups: c.num_attention_heads, queriesPerGroup: 1 },
      parallel: c.use_parallel_residual,
      activation: activationOf(c.hidden_act, 'hidden_act', path),
      rotary: rotary(c, path),
      attentionBias: c.attention_bias,
      mlpBias: true,
      names: {
        embedding: 'gpt_neox.embed_in',
        layers: 'gpt_neox.layers',
        attention: 'attention',
        norms: ['input_layernorm', 'post_attention_layernorm'],
        lastNorm: 'gpt_neox.final_layer_norm',
        head: 'embed_out',
      },
    } as const;
    return FusedDecoder.build(c, traits, weights);
  },
  gguf: form,
  fromGguf: { architecture: 'gptneox', config: fields },
  modules: FUSED_MODULES,
  embedding: 'embed_in',
  shapes: {
    'redpajama-3b': { config: redpajama(2560, 10240, 32, 32), batch: 4, length: 512 },
    'redpajama-7b': { config: redpajama(4096, 16384, 32, 32), batch: 4, length: 512 },
  },
});
