/** A tiny random model of each family and texts of random tokens, for tests of the engine. */

import { type Backend } from '../../src/backends/contract.js';
import { createBackend } from '../../src/backends/select.js';
import type { Block } from '../../src/data/index.js';
import { randomModel } from '../../src/models/load.js';
import type { CausalLM } from '../../src/models/model.js';
import type { WeightOptions } from '../../src/models/weights.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { philox4x32 } from '../../src/util/philox.js';
import { BACKENDS } from './backends.js';

export const VOCAB = 96;

export function tinyConfig(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    model_type: 'mistral',
    vocab_size: VOCAB,
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    rope_theta: 10000,
    sliding_window: 12,
    tie_word_embeddings: false,
    initializer_range: 0.1,
    ...overrides,
  };
}

/** What families have of their own. */
const FAMILIES: Readonly<Record<string, Record<string, unknown>>> = {
  qwen2: { tie_word_embeddings: true },
  qwen3: { head_dim: 24, use_sliding_window: true, max_window_layers: 1, sliding_window: 6 },
  gpt_neox: { hidden_act: 'gelu', rotary_pct: 0.25, use_parallel_residual: true },
  falcon: {},
  gemma3_text: {
    num_hidden_layers: 3,
    head_dim: 24,
    query_pre_attn_scalar: 20,
    sliding_window: 6,
    sliding_window_pattern: 2,
    rope_theta: 1_000_000,
    rope_scaling: { rope_type: 'linear', factor: 4 },
    tie_word_embeddings: true,
  },
};

/** A tiny config of the family. */
export function familyConfig(model_type: string): Record<string, unknown> {
  return tinyConfig({ model_type, ...FAMILIES[model_type] });
}

/** Flan-T5's kind: a gated MLP and a head of its own. */
export function tinyT5(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    model_type: 't5',
    vocab_size: VOCAB,
    d_model: 64,
    d_kv: 16,
    d_ff: 96,
    num_layers: 2,
    num_heads: 4,
    relative_attention_num_buckets: 8,
    relative_attention_max_distance: 20,
    feed_forward_proj: 'gated-gelu',
    is_encoder_decoder: true,
    decoder_start_token_id: 0,
    tie_word_embeddings: false,
    initializer_range: 0.1,
    ...overrides,
  };
}

export function tinyModel(
  backend: Backend,
  options: WeightOptions & { seed?: number } = {},
  config = tinyConfig(),
): Promise<CausalLM> {
  return randomModel(backend, config, { dtype: 'f32', ...options });
}

/** The first of those that tests are run on. */
export async function backend(name = BACKENDS[0] ?? 'cpu'): Promise<Backend> {
  return (await createBackend(name)).backend;
}

export function randomIds(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => 3 + (philox4x32([i, 0, 0, 0], [seed, 99])[0] % (VOCAB - 3)));
}

/** Texts of the given lengths; the first `untrained` tokens of each carry no loss. */
export function randomBlocks(lengths: readonly number[], seed = 1, untrained = 0): Block[] {
  return lengths.map((length, row) => {
    const ids = randomIds(length, seed + row);
    return {
      ids,
      labels: ids.map((id, i) => (i < untrained ? -100 : id)),
      positions: Int32Array.from({ length }, (_, i) => i),
      segments: new Int32Array(length),
      rows: [row],
    };
  });
}

/** Pairs of an encoder's text and a decoder's, start token included, of the given lengths. */
export function randomPairs(
  lengths: readonly (readonly [read: number, written: number])[],
  seed = 1,
): Block[] {
  return randomBlocks(
    lengths.map(([, written]) => written),
    seed,
  ).map((block, i) => {
    const ids = Int32Array.from(block.ids, (id, at) => (at === 0 ? 0 : id));
    const read = randomIds(lengths[i]![0], seed + 100 + i);
    return { ...block, ids, labels: ids, encoder: { ids: read, segments: new Int32Array(read.length) } };
  });
}

export const ARGS: TrainingArguments = {
  learning_rate: 1e-2,
  lr_scheduler_type: 'constant',
  warmup_ratio: 0,
  warmup_steps: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  weight_decay: 0,
  max_grad_norm: 0.3,
  num_train_epochs: 1,
  max_steps: 0,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 1,
  gradient_checkpointing: false,
  bf16: false,
  neftune_noise_alpha: 0,
  seed: 7,
  save_steps: 0,
  save_total_limit: 0,
};

export const LORA = {
  r: 4,
  lora_alpha: 8,
  lora_dropout: 0,
  use_rslora: false,
  target_modules: 'all-linear' as const,
};
