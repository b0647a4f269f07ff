/** Model shapes that benchmarks know by name: config.json's fields, with random weights in the place of a checkpoint. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from '../../models/load.js';
import { UserError } from '../../util/errors.js';

/** Models' config.json, as far as it shows in speed and memory: those that the origin compares, and newer ones. */
const MISTRAL_7B = {
  ...mistral(4096, 14336, 32, 32, 8, 32000),
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-5,
  sliding_window: 4096,
};
const LLAMA2 = { model_type: 'llama', max_position_embeddings: 4096, rms_norm_eps: 1e-5 };
const LLAMA2_7B = { ...mistral(4096, 11008, 32, 32, 32, 32000), ...LLAMA2 };
const LLAMA2_13B = { ...mistral(5120, 13824, 40, 40, 40, 32000), ...LLAMA2 };
const QWEN3_8B = {
  ...mistral(4096, 12288, 36, 32, 8, 151936),
  model_type: 'qwen3',
  head_dim: 128,
  max_position_embeddings: 40960,
  rope_theta: 1_000_000,
  attention_bias: false,
  use_sliding_window: false,
  max_window_layers: 36,
};
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

/** Falcon's heads share one key and one value. */
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
const REDPAJAMA_3B = neox(2560, 10240, 32, 32);
const REDPAJAMA_7B = neox(4096, 16384, 32, 32);

function neox(
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

function mistral(
  hidden_size: number,
  intermediate_size: number,
  num_hidden_layers: number,
  num_attention_heads: number,
  num_key_value_heads: number,
  vocab_size: number,
): Record<string, unknown> {
  return {
    model_type: 'mistral',
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
    vocab_size,
    max_position_embeddings: 1024,
    rms_norm_eps: 1e-6,
    hidden_act: 'silu',
    rope_theta: 10000,
    sliding_window: null,
    tie_word_embeddings: false,
    initializer_range: 0.02,
  };
}

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

const FLAN_T5 = { batch: 16, length: 512, decoderLength: 128 };

/** A model’s config.json for the bench, in name and size. */
export interface BenchShape {
  readonly config: Record<string, unknown>;
  /** Sequences a step, and their length. */
  readonly batch: number;
  readonly length: number;
  /** Of a model with an encoder, which reads `length` tokens: what its decoder writes. */
  readonly decoderLength?: number;
}

const SHAPES: Readonly<Record<string, BenchShape>> = {
  // The two that the PyTorch peer script measures on a CPU.
  '6m': { config: mistral(256, 688, 6, 4, 2, 4096), batch: 8, length: 256 },
  '126m': { config: mistral(768, 2048, 12, 12, 4, 32000), batch: 4, length: 512 },
  'mistral-7b': { config: MISTRAL_7B, batch: 4, length: 512 },
  'llama2-7b': { config: LLAMA2_7B, batch: 4, length: 512 },
  'llama2-13b': { config: LLAMA2_13B, batch: 4, length: 512 },
  'falcon-7b': { config: FALCON_7B, batch: 4, length: 512 },
  'redpajama-3b': { config: REDPAJAMA_3B, batch: 4, length: 512 },
  'redpajama-7b': { config: REDPAJAMA_7B, batch: 4, length: 512 },
  'flan-t5-base': { config: flanT5(768, 2048, 12, 12), ...FLAN_T5 },
  'flan-t5-large': { config: flanT5(1024, 2816, 24, 16), ...FLAN_T5 },
  'qwen3-8b': { config: QWEN3_8B, batch: 4, length: 512 },
  'gemma3-1b': { config: GEMMA3_1B, batch: 4, length: 512 },
};

export function shapeNames(): string[] {
  return Object.keys(SHAPES);
}

/** A shape by its name here, or that of a model folder (its config.json alone is read). Throws UserError for neither. */
export function benchShape(name: string): BenchShape {
  const shape = name.toLowerCase();
  if (Object.hasOwn(SHAPES, shape)) return SHAPES[shape]!;
  if (!existsSync(name))
    throw new UserError(
      `there is no shape '${name}': ${Object.keys(SHAPES).join(', ')} are known, or give a model folder`,
    );
  const config = readJson(join(name, 'config.json'));
  if (config['model_type'] === 't5') return { config, ...FLAN_T5 };
  const context = config['max_position_embeddings'];
  return { config, batch: 4, length: Math.min(512, typeof context === 'number' ? context : 512) };
}
