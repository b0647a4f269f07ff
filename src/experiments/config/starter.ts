/** What `westwind init TASK` writes: a configuration to fill in, with the settings that people change most. */

import type { TaskName } from '../../tasks/index.js';
import { checkOneOf } from '../../util/checks.js';

const HEAD = `# A Westwind run: 'westwind run FILE' does it, 'westwind schema' lists every setting.
# Paths are relative to this file's folder where they exist there, else to the working folder.

model_name_or_path: path/to/model   # a folder in Hugging Face's layout, or a model's name on the hub
output_dir: runs
seed: 42

# The base model in 4 bits; leave this section out for full precision.
quantization: {load_in_4bit: true, bnb_4bit_quant_type: nf4, bnb_4bit_use_double_quant: true}

# The adapter; without this section (and without quantization) every weight is trained.
lora:
  r: R_DEFAULT
  lora_alpha: 16
  lora_dropout: 0.1
  target_modules: [q_proj, v_proj]  # or all-linear

training:
  num_train_epochs: EPOCHS_DEFAULT
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 2
  learning_rate: 2e-4
  lr_scheduler_type: constant       # or constant_with_warmup, linear, cosine
  max_grad_norm: 0.3
  max_length: 512                   # tokens of a text or packed block
  packing: concat                   # or isolated (texts do not see each other), none
  completion_only_loss: true        # train on the answers alone
  # neftune_noise_alpha: 5

generation:
  do_sample: false
  batch_size: 16                    # sequences at once

tasks:
`;

const TASKS: Readonly<Record<TaskName, string>> = {
  classification: `  topics:                           # a name of your choice
    task: classification
    columns: {text: text, label: label}   # your data's names for the text and its class
    train:
      path: data/train.csv          # CSV, JSON, JSONL or Parquet; or hub: a data set's name
      # fraction: 0.1               # a share of the rows, or count: a number of them
    test:
      path: data/test.csv           # or, of one file, in place of test: split: {test: 0.2}
    scoring: both                   # generated answers, and the likeliest class
    baselines: [zero_shot, few_shot]
    max_new_tokens: 20
`,
  summarization: `  dialogues:                        # a name of your choice
    task: summarization
    columns: {dialogue: dialogue, summary: summary}   # your data's names for the two
    train:
      path: data/train.json         # CSV, JSON, JSONL or Parquet; or hub: a data set's name
      # count: 500                  # a number of the rows, or fraction: a share of them
    test:
      path: data/test.json
    baselines: [zero_shot, few_shot]
    few_shot_examples: 2
    max_new_tokens: 100
    baseline_max_new_tokens: 50
`,
  custom: `  mine:                             # a name of your choice
    task: custom
    prompt: "### Question:{question} ### Answer:"   # columns of your data in braces
    completion: "{answer}"
    metric: exact_match             # or accuracy (the answers are classes), rouge (free text)
    instruction: Answer the question in as few words as possible.   # for the baselines
    train:
      path: data/train.jsonl        # CSV, JSON, JSONL or Parquet; or hub: a data set's name
    test:
      path: data/test.jsonl
    baselines: [zero_shot, few_shot]
    few_shot_examples: 2
    max_new_tokens: 50
`,
};

/** A commented configuration for a task, which is valid as it stands but for its paths. */
export function starterConfig(task: TaskName): string {
  checkOneOf('task', task, Object.keys(TASKS));
  const [r, epochs] = task === 'summarization' ? ['64', '1'] : ['8', '5'];
  return HEAD.replace('R_DEFAULT', r).replace('EPOCHS_DEFAULT', epochs) + TASKS[task];
}
