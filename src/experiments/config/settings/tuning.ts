/** Settings of the base model's weights, the adapter and the training. Names are those of bitsandbytes, PEFT, transformers and TRL. */

import { z } from 'zod';
import { MOST_RANK, type LoraConfig } from '../../../adapters/config.js';
import { kindOfSwitches } from '../../../adapters/kinds/index.js';
import type { TaskDefaults } from '../../../tasks/index.js';
import {
  BITLESS_ARGUMENTS,
  laterArguments,
  TRAINING_DEFAULTS,
  type TrainingArguments,
} from '../../../train/arguments.js';
import { SCHEDULER_TYPES } from '../../../train/schedule.js';
import { Pattern } from '../../../util/pattern.js';
import {
  atLeastZero,
  belowOne,
  flag,
  positive,
  setting,
  share,
  text,
  whole,
  withDefaults,
  type Given,
} from '../../../util/settings.js';
import { byTask } from './by-task.js';
import { LATER } from './steering.js';

export const QUANTIZATION = {
  load_in_4bit: setting(flag, 'Keep the base model in 4 bits (QLoRA).', { default: true }),
  bnb_4bit_quant_type: setting(z.literal('nf4'), 'The 4-bit type; NF4 is the one there is.'),
  bnb_4bit_use_double_quant: setting(
    flag,
    'Quantize the block scales as well, which saves 0.4 bits a weight.',
    { default: true },
  ),
};

const expression = text
  .describe('all-linear, or a regular expression.')
  .refine(compiles, { error: 'is not a regular expression' });

export const LORA = {
  r: setting(whole(1, MOST_RANK), 'Rank of the update.', { default: byTask('r') }),
  lora_alpha: setting(positive, 'The update is scaled by lora_alpha / r.', { default: 16 }),
  lora_dropout: setting(belowOne, 'Dropout on the adapter’s input, in training.', { default: 0.1 }),
  use_rslora: setting(flag, 'Scale by lora_alpha / sqrt(r) instead.', { default: false }),
  target_modules: setting(
    z.union([z.array(text.describe('A name or name ending.')).min(1), expression]),
    'Linear layers that get an adapter: a list of names, all-linear (all but the output head) or a regular expression ' +
      'for the whole name; in a list, the names of most models stand for what another has in their place.',
    { default: ['q_proj', 'v_proj'] },
  ),
  bias: setting(z.literal('none'), 'Biases are not trained.'),
};

/** What the trainer takes as it is: its defaults are the trainer's, and the trainer knows what changes no bit. */
const TRAINER = Object.fromEntries(
  Object.entries(TRAINING_DEFAULTS).map(([name, value]) => [
    name,
    { default: value, bits: !BITLESS_ARGUMENTS.some((bitless) => bitless === name) },
  ]),
) as {
  readonly [K in keyof typeof TRAINING_DEFAULTS]: {
    readonly default: (typeof TRAINING_DEFAULTS)[K];
    readonly bits: boolean;
  };
};

/** What every run's settings hold. */
const ALWAYS = {
  num_train_epochs: setting(positive, 'Times over the data.', { default: byTask('num_train_epochs') }),
  max_steps: setting(whole(1), 'Optimizer steps; comes before num_train_epochs.'),
  per_device_train_batch_size: setting(
    whole(1),
    'Texts (or packed blocks) in one pass.',
    TRAINER.per_device_train_batch_size,
  ),
  gradient_accumulation_steps: setting(
    whole(1),
    'Passes before an update.',
    TRAINER.gradient_accumulation_steps,
  ),
  learning_rate: setting(positive, 'The highest learning rate.', TRAINER.learning_rate),
  lr_scheduler_type: setting(
    z.enum(SCHEDULER_TYPES),
    'How the learning rate runs; constant has no warm-up.',
    TRAINER.lr_scheduler_type,
  ),
  warmup_ratio: setting(share, 'Share of the steps for warming up.', TRAINER.warmup_ratio),
  warmup_steps: setting(
    whole(0),
    'Steps for warming up; where above 0 it comes before warmup_ratio.',
    TRAINER.warmup_steps,
  ),
  max_grad_norm: setting(
    atLeastZero,
    'Gradients are clipped to this norm; 0: not at all.',
    TRAINER.max_grad_norm,
  ),
  weight_decay: setting(atLeastZero, 'AdamW’s weight decay.', TRAINER.weight_decay),
  adam_beta1: setting(belowOne, 'AdamW’s first decay rate.', TRAINER.adam_beta1),
  adam_beta2: setting(belowOne, 'AdamW’s second decay rate.', TRAINER.adam_beta2),
  adam_epsilon: setting(positive, 'AdamW’s epsilon.', TRAINER.adam_epsilon),
  gradient_checkpointing: setting(
    z.union([z.boolean(), z.literal('auto')]),
    'Compute activations again instead of keeping them; auto: only where memory is too small to keep them.',
    TRAINER.gradient_checkpointing,
  ),
  optim: setting(
    z.enum(['auto', 'adamw_torch', 'paged_adamw_32bit']),
    'Where AdamW’s float32 state lies: adamw_torch on the device, paged_adamw_32bit in the machine’s main memory, auto there ' +
      'only where the device is too small.',
    { default: 'auto', bits: TRAINER.paged.bits },
  ),
  neftune_noise_alpha: setting(
    atLeastZero,
    'NEFTune’s noise on the input embeddings; 0: none.',
    TRAINER.neftune_noise_alpha,
  ),
  max_length: setting(whole(2), 'Tokens of a training text or packed block at most.', { default: 512 }),
  packing: setting(
    z.enum(['none', 'concat', 'isolated']),
    'How texts share a block: none; concat (joined by EOS and cut, attention across); isolated (whole texts that do not see ' +
      'each other).',
    { default: 'concat' },
  ),
  completion_only_loss: setting(flag, 'Train on the answers alone, not on the prompts.', { default: true }),
  bf16: setting(
    flag,
    'bf16 where the machine has it: on a GPU activations too, on a CPU matrix products.',
    TRAINER.bf16,
  ),
  logging_steps: setting(whole(1), 'Steps between plain progress lines.', { default: 10, bits: false }),
  save_steps: setting(whole(0), 'Steps between checkpoints; 0: only when stopped.', TRAINER.save_steps),
  save_total_limit: setting(
    whole(1),
    'Checkpoints to keep; the newest and the best are never among those deleted.',
    TRAINER.save_total_limit,
  ),
};

export const TRAINING = { ...ALWAYS, ...LATER };

export interface ResolvedTraining extends Omit<TrainingArguments, 'gradient_checkpointing' | 'paged'> {
  /** auto: settled when the run knows its memory (plan/fit.ts). */
  readonly gradient_checkpointing: boolean | 'auto';
  readonly optim: 'auto' | 'adamw_torch' | 'paged_adamw_32bit';
  readonly max_length: number;
  readonly packing: 'none' | 'concat' | 'isolated';
  readonly completion_only_loss: boolean;
  readonly logging_steps: number;
}

/** Whether its evaluations answer the validation rows, as a figure of the answers says which is best. */
export function isScored({ metric_for_best_model: metric = 'loss' }: ResolvedTraining): boolean {
  return metric !== 'loss';
}

export function resolveLora(given: Given<typeof LORA>, defaults: TaskDefaults): LoraConfig {
  const kind = kindOfSwitches(new Map(Object.entries(given)));
  return { ...(kind && { kind }), ...withDefaults(LORA, given, defaults) };
}

export function resolveTraining(
  given: Given<typeof TRAINING>,
  defaults: TaskDefaults,
  seed: number,
): ResolvedTraining {
  // No steps are no limit.
  const { max_steps } = TRAINING_DEFAULTS;
  const always = withDefaults(ALWAYS, given, defaults);
  const { eval_steps = given.eval_strategy === 'steps' ? always.logging_steps : undefined } = given;
  return {
    max_steps,
    ...(given.max_steps !== undefined && { max_steps: given.max_steps }),
    ...always,
    ...laterArguments({ ...given, eval_steps }),
    seed,
  };
}

function compiles(source: string): boolean {
  try {
    return new Pattern(source, 'target_modules') instanceof Pattern;
  } catch {
    return false;
  }
}
