/**
 * GPT-NeoX (arXiv:2204.06745) and what is built like it: Pythia (arXiv:2304.01373), and RedPajama-INCITE, whose halves of a layer stand one
 * behind the other. A head's queries, keys and values lie next to each other; biases everywhere; a part of each head is turned.
 */

import { z } from 'zod';
import { UserError } from '../../util/errors.js';
import { FusedDecoder } from '../blocks/fused-decoder.js';
import { activationOf, fusedSchema, headSize, parseConfig, ropeParameters } from '../config.js';
import type { ModelBuilder } from '../load.js';

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

export const build: ModelBuilder = (json, path, weights) => {
  const c = parseConfig(schema, json, path);
  const factor = c.rope_parameters?.partial_rotary_factor ?? c.partial_rotary_factor ?? c.rotary_pct;
  const dim = Math.floor(headSize(c, path) * factor);
  if (dim % 2 !== 0 || dim === 0)
    throw new UserError(`${path}: ${dim} elements of each head are turned, but only an even number can be`);
  const traits = {
    heads: { groups: c.num_attention_heads, queriesPerGroup: 1 },
    parallel: c.use_parallel_residual,
    activation: activationOf(c.hidden_act, 'hidden_act', path),
    rotary: {
      dim,
      parameters: ropeParameters(
        c.rope_parameters ?? c.rope_scaling,
        c.rope_theta ?? c.rotary_emb_base ?? 10000,
      ),
    },
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
};
