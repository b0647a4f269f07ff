/** Llama 1 to 3 (arXiv:2307.09288, arXiv:2407.21783) and what is built like them. */

import { z } from 'zod';
import { Decoder, LLAMA, type DecoderTraits } from '../blocks/decoder.js';
import { decoderConfig, decoderSchema } from '../config.js';
import { defineFamily } from '../family.js';
import { decoderForm } from '../gguf.js';
import { decoderFields } from '../gguf-facts.js';

const schema = decoderSchema.extend({
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

/** A config.json of such a decoder, for a shape. */
export function llamaLike(
  sizes: readonly [
    hidden: number,
    mlp: number,
    layers: number,
    heads: number,
    kvHeads: number,
    vocab: number,
  ],
  more: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, kvHeads, vocab_size] = sizes;
  return {
    ...{ hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, vocab_size },
    num_key_value_heads: kvHeads,
    max_position_embeddings: 1024,
    rms_norm_eps: 1e-6,
    hidden_act: 'silu',
    rope_theta: 10000,
    sliding_window: null,
    tie_word_embeddings: false,
    initializer_range: 0.02,
    ...more,
  };
}

const traits = (c: z.infer<typeof schema>): DecoderTraits => ({
  ...LLAMA,
  queryKeyValueBias: c.attention_bias,
  outputBias: c.attention_bias,
  mlpBias: c.mlp_bias,
});

const LLAMA2 = { model_type: 'llama', max_position_embeddings: 4096, rms_norm_eps: 1e-5 };

export const llama = defineFamily({
  schema,
  contextLength: (c) => c.max_position_embeddings,
  build: (c, path, weights) => Decoder.build(decoderConfig(c, path), traits(c), weights),
  gguf: (c, path) => decoderForm('llama', decoderConfig(c, path), traits(c), path),
  fromGguf: {
    architecture: 'llama',
    config: (f) => ({
      ...{ model_type: 'llama', ...decoderFields(f) },
      attention_bias: f.has('blk.0.attn_q.bias'),
      mlp_bias: f.has('blk.0.ffn_gate.bias'),
    }),
  },
  shapes: {
    'llama2-7b': { config: llamaLike([4096, 11008, 32, 32, 32, 32000], LLAMA2), batch: 4, length: 512 },
    'llama2-13b': { config: llamaLike([5120, 13824, 40, 40, 40, 32000], LLAMA2), batch: 4, length: 512 },
  },
});
