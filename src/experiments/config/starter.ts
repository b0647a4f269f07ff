/** What `westwind init TASK` writes: a configuration to fill in, with the settings that people change most. */

import { definitionOf, type TaskDefaults, type TaskName } from '../../tasks/index.js';
import { textOf } from '../../util/settings.js';
import { TOP } from './schema.js';
import { GENERATION } from './settings/answers.js';
import { LORA, QUANTIZATION, TRAINING } from './settings/tuning.js';

/** A setting's default, as a configuration writes it. */
const of = (setting: { readonly default: unknown }): string => textOf(setting.default);

const head = ({
  r,
  num_train_epochs,
}: TaskDefaults): string => `# A Westwind run: 'westwind run FILE' does it, 'westwind schema' lists every setting.
# Paths are relative to this file's folder where they exist there, else to the working folder.

model_name_or_path: path/to/model   # a folder in Hugging Face's layout, or a model's name on the hub
output_dir: ${of(TOP.output_dir)}
seed: ${of(TOP.seed)}

# The base model in 4 bits; leave this section out for full precision.
quantization: {load_in_4bit: ${of(QUANTIZATION.load_in_4bit)}, bnb_4bit_quant_type: nf4, bnb_4bit_use_double_quant: ${of(QUANTIZATION.bnb_4bit_use_double_quant)}}

# The adapter; without this section (and without quantization) every weight is trained.
lora:
  r: ${r}
  lora_alpha: ${of(LORA.lora_alpha)}
  lora_dropout: ${of(LORA.lora_dropout)}
  target_modules: ${of(LORA.target_modules)}  # or all-linear

training:
  num_train_epochs: ${num_train_epochs}
  per_device_train_batch_size: ${of(TRAINING.per_device_train_batch_size)}
  gradient_accumulation_steps: ${of(TRAINING.gradient_accumulation_steps)}
  learning_rate: ${of(TRAINING.learning_rate)}
  lr_scheduler_type: ${of(TRAINING.lr_scheduler_type)}       # or constant_with_warmup, linear, cosine
  max_grad_norm: ${of(TRAINING.max_grad_norm)}
  max_length: ${of(TRAINING.max_length)}                   # tokens of a text or packed block
  packing: ${of(TRAINING.packing)}                   # or isolated (texts do not see each other), none
  completion_only_loss: ${of(TRAINING.completion_only_loss)}        # train on the answers alone
  # neftune_noise_alpha: 5

generation:
  do_sample: ${of(GENERATION.do_sample)}
  batch_size: ${of(GENERATION.batch_size)}                    # sequences at once

tasks:
`;

/** A commented configuration for a task, which is valid as it stands but for its paths. */
export function starterConfig(task: TaskName): string {
  const { starter, defaults } = definitionOf({ task });
  return head(defaults) + starter;
}
