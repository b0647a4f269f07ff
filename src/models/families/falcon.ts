/**
 * Falcon (arXiv:2311.16867). The 7B has one key and value for all heads, and attention beside the MLP behind one norm; the newer ones have
 * groups of heads, and a norm for each half (40B, 180B) or one for both (11B); the RefinedWeb models have heads as GPT-NeoX's, ALiBi in the
 * place of rotation, and one half behind the other.
 */

import { z } from 'zod';
import { UserError } from '../../util/errors.js';
import { FusedDecoder, FUSED_MODULES } from '../blocks/fused-decoder.js';
import { activationOf, fusedSchema, headSize, ropeParameters } from '../config.js';
import { defineFamily } from '../family.js';
import { commonKeys, float, refuseForm, ropeKeys, uint, ungrouped, type GgufForm } from '../gguf.js';
import { commonFields, ropeFields, type Fields, type GgufFacts } from '../gguf-facts.js';

const schema = fusedSchema.extend({
  ffn_hidden_size: z.int().positive().nullish(),
  activation: z.string().default('gelu'),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  multi_query: z.boolean().default(true),
  new_decoder_architecture: z.boolean().default(false),
  num_kv_heads: z.int().positive().nullish(),
  num_ln_in_parallel_attn: z.union([z.literal(1), z.literal(2)]).nullish(),
  parallel_attn: z.boolean().default(true),
  alibi: z.boolean().default(false),
  bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  apply_residual_connection_post_layernorm: z.literal(false).optional(),
});
type Config = z.infer<typeof schema>;

/** Its heads share one key and one value. */
const FALCON_7B = {
  ...{
    model_type: 'falcon',
    hidden_size: 4544,
    num_hidden_layers: 32,
    num_attention_heads: 71,
    vocab_size: 65024,
  },
  ...{ multi_query: true, parallel_attn: true, bias: false, alibi: false, new_decoder_architecture: false },
  ...{ layer_norm_epsilon: 1e-5, initializer_range: 0.02 },
};

export const falcon = defineFamily({
  schema,
  contextLength: (c) => c.max_position_embeddings,
  build(c, path, weights) {
    const dim = headSize(c, path);
    const config = {
      ...c,
      intermediate_size: c.ffn_hidden_size ?? 4 * c.hidden_size,
      layer_norm_eps: c.layer_norm_epsilon,
    };
    const traits = {
      heads: headGroups(c, path),
      parallel: c.parallel_attn,
      activation: activationOf(c.activation, 'activation', path),
      rotary: c.alibi
        ? undefined
        : { dim, parameters: ropeParameters(c.rope_parameters ?? c.rope_scaling, c.rope_theta ?? 10000) },
      attentionBias: c.bias,
      mlpBias: c.bias,
      names: {
        embedding: 'transformer.word_embeddings',
        layers: 'transformer.h',
        attention: 'self_attention',
        norms: norms(c, path),
        lastNorm: 'transformer.ln_f',
        head: 'lm_head',
      },
    } as const;
    return FusedDecoder.build(config, traits, weights);
  },
  gguf: form,
  fromGguf: { architecture: 'falcon', config: fields },
  modules: FUSED_MODULES,
  embedding: 'word_embeddings',
  shapes: {
    'falcon-7b': { config: FALCON_7B, batch: 4, length: 512 },
  },
});

function form(c: Config, path: string): GgufForm {
  const dim = headSize(c, path);
  const { groups, queriesPerGroup } = headGroups(c, path);
  const rope = ropeParameters(c.rope_parameters ?? c.rope_scaling, c.rope_theta ?? 10000);
  refuseForm(c.alibi, path, 'alibi is true');
  refuseForm(c.bias, path, 'bias is true');
  refuseForm(!c.parallel_attn, path, 'parallel_attn is false');
  refuseForm(rope.rope_type === 'llama3', path, "a rotation scaled as Llama 3's");
  return {
    architecture: 'falcon',
    keys: {
      ...commonKeys({ ...c, intermediate_size: c.ffn_hidden_size ?? 4 * c.hidden_size }),
      'attention.head_count_kv': uint(groups),
      'attention.layer_norm_epsilon': float(c.layer_norm_epsilon),
      ...ropeKeys(dim, rope),
    },
    names: {
      stacks: [
        {
          ...{ layers: 'transformer.h', blocks: 'blk', count: c.num_hidden_layers },
          inLayer: {
            'self_attention.query_key_value': 'attn_qkv',
            'self_attention.dense': 'attn_output',
            'mlp.dense_h_to_4h': 'ffn_up',
            'mlp.dense_4h_to_h': 'ffn_down',
            ...(norms(c, path)[1] === undefined
              ? { input_layernorm: 'attn_norm' }
              : { ln_mlp: 'attn_norm', ln_attn: 'attn_norm_2' }),
          },
        },
      ],
      outside: {
        'transformer.word_embeddings': 'token_embd',
        'transformer.ln_f': 'output_norm',
        lm_head: 'output',
      },
    },
    orders: { attn_qkv: ungrouped(groups, queriesPerGroup, dim) },
    factors: {},
    normOffset: 0,
    ownHead: false,
    extra: {},
    notes: [],
  };
}

function fields(f: GgufFacts): Fields {
  const groups = f.number('attention.head_count_kv') ?? 1;
  const twoNorms = f.has('blk.0.attn_norm_2.weight');
  const newer = groups !== 1 || twoNorms;
  return {
    model_type: 'falcon',
    ...commonFields(f),
    ffn_hidden_size: f.needed('feed_forward_length'),
    layer_norm_epsilon: f.needed('attention.layer_norm_epsilon'),
    ...{ multi_query: true, parallel_attn: true, bias: false, alibi: false },
    new_decoder_architecture: newer,
    ...(newer && { num_kv_heads: groups, num_ln_in_parallel_attn: twoNorms ? 2 : 1 }),
    ...ropeFields(f, f.needed('embedding_length') / f.needed('attention.head_count')),
  };
}

function headGroups(c: Config, path: string): { groups: number; queriesPerGroup: number } {
  const heads = c.num_attention_heads;
  let groups = c.multi_query ? 1 : heads;
  if (c.new_decoder_architecture) groups = c.num_kv_heads ?? heads;
  if (heads % groups !== 0)
    throw new UserError(
      `${path}: num_attention_heads (${heads}) is not a multiple of num_kv_heads (${groups})`,
    );
  return { groups, queriesPerGroup: heads / groups };
}

function norms(c: Config, path: string): readonly [string, string?] {
  const count = c.num_ln_in_parallel_attn ?? (c.new_decoder_architecture ? 2 : 1);
  if (c.new_decoder_architecture && !c.parallel_attn)
    throw new UserError(`${path}: new_decoder_architecture needs parallel_attn, which is false`);
  if (!c.parallel_attn) return ['input_layernorm', 'post_attention_layernorm'];
  if (count === 1) return ['input_layernorm'];
  if (!c.new_decoder_architecture)
    throw new UserError(`${path}: num_ln_in_parallel_attn 2 needs new_decoder_architecture, which is false`);
  return ['ln_attn', 'ln_mlp'];
}
