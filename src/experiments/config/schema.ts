/**
 * The configuration's shape, one description a field. Names are those of transformers' TrainingArguments and GenerationConfig, PEFT's
 * LoraConfig, bitsandbytes' and TRL's settings. Nothing here has a default: what is left out comes from the task's section, the
 * top level and then the task's own defaults, in that order (resolve.ts).
 */

import { z } from 'zod';
import { MOST_RANK } from '../../adapters/config.js';
import { messageOf } from '../../util/errors.js';
import { parseTemplate } from '../../tasks/index.js';
import { isCheck, MEASURES } from '../../eval/measures.js';
import { TRACKER_NAMES } from '../trackers/index.js';
import {
  atLeastZero,
  belowOne,
  expression,
  flag,
  positive,
  section,
  seed,
  share,
  text,
  whole,
} from './fields.js';

const quantization = section({
  load_in_4bit: flag('Keep the base model in 4 bits (QLoRA). Default true.').optional(),
  bnb_4bit_quant_type: z.literal('nf4').optional().describe('The 4-bit type; NF4 is the one there is.'),
  bnb_4bit_use_double_quant: flag(
    'Quantize the block scales as well, which saves 0.4 bits a weight. Default true.',
  ).optional(),
});

const lora = section({
  r: whole(
    1,
    'Rank of the update. Default 8 for classification and custom tasks, 64 for summarization.',
    MOST_RANK,
  ).optional(),
  lora_alpha: positive('The update is scaled by lora_alpha / r. Default 16.').optional(),
  lora_dropout: belowOne('Dropout on the adapter’s input, in training. Default 0.1.').optional(),
  use_rslora: flag('Scale by lora_alpha / sqrt(r) instead. Default false.').optional(),
  target_modules: z
    .union([z.array(text('A name or name ending.')).min(1), expression])
    .optional()
    .describe(
      'Linear layers that get an adapter: a list of names, all-linear (all but the output head) or a regular expression ' +
        'for the whole name. Default [q_proj, v_proj]; in a list, the names of most models stand for what another has in their place.',
    ),
  bias: z.literal('none').optional().describe('Biases are not trained.'),
});

const training = section({
  num_train_epochs: positive(
    'Times over the data. Default 5 for classification and custom tasks, 1 for summarization.',
  ).optional(),
  max_steps: whole(1, 'Optimizer steps; comes before num_train_epochs.').optional(),
  per_device_train_batch_size: whole(1, 'Texts (or packed blocks) in one pass. Default 4.').optional(),
  gradient_accumulation_steps: whole(1, 'Passes before an update. Default 2.').optional(),
  learning_rate: positive('The highest learning rate. Default 2e-4.').optional(),
  lr_scheduler_type: z
    .enum(['constant', 'constant_with_warmup', 'linear', 'cosine'])
    .optional()
    .describe('How the learning rate runs; constant has no warm-up. Default constant.'),
  warmup_ratio: share('Share of the steps for warming up. Default 0.03.').optional(),
  warmup_steps: whole(
    0,
    'Steps for warming up; where above 0 it comes before warmup_ratio. Default 0.',
  ).optional(),
  max_grad_norm: atLeastZero('Gradients are clipped to this norm; 0: not at all. Default 0.3.').optional(),
  weight_decay: atLeastZero('AdamW’s weight decay. Default 0.').optional(),
  adam_beta1: belowOne('AdamW’s first decay rate. Default 0.9.').optional(),
  adam_beta2: belowOne('AdamW’s second decay rate. Default 0.999.').optional(),
  adam_epsilon: positive('AdamW’s epsilon. Default 1e-8.').optional(),
  gradient_checkpointing: z
    .union([z.boolean(), z.literal('auto')])
    .optional()
    .describe(
      'Compute activations again instead of keeping them; auto: only where memory is too small to keep them. Default true.',
    ),
  optim: z
    .enum(['auto', 'adamw_torch', 'paged_adamw_32bit'])
    .optional()
    .describe(
      'Where AdamW’s float32 state lies: adamw_torch on the device, paged_adamw_32bit in the machine’s main memory, auto there ' +
        'only where the device is too small. Default auto.',
    ),
  neftune_noise_alpha: atLeastZero('NEFTune’s noise on the input embeddings; 0: none. Default 0.').optional(),
  max_length: whole(2, 'Tokens of a training text or packed block at most. Default 512.').optional(),
  packing: z
    .enum(['none', 'concat', 'isolated'])
    .optional()
    .describe(
      'How texts share a block: none; concat (joined by EOS and cut, attention across); isolated (whole texts that do not see ' +
        'each other). Default concat.',
    ),
  completion_only_loss: flag('Train on the answers alone, not on the prompts. Default true.').optional(),
  bf16: flag(
    'bf16 where the machine has it: on a GPU activations too, on a CPU matrix products. Default true.',
  ).optional(),
  logging_steps: whole(1, 'Steps between plain progress lines. Default 10.').optional(),
  save_steps: whole(0, 'Steps between checkpoints; 0: only when stopped. Default 100.').optional(),
  save_total_limit: whole(1, 'Checkpoints to keep. Default 2.').optional(),
});

const generation = section({
  do_sample: flag('Draw tokens instead of taking the likeliest. Default false.').optional(),
  temperature: positive('Divides the logits before drawing. Default 1.').optional(),
  top_p: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('Draw from the likeliest tokens of this mass. Default 1.'),
  top_k: whole(0, 'Draw from this many likeliest tokens; 0: all. Default 0.').optional(),
  batch_size: whole(1, 'Sequences generated at once. Default 16.').optional(),
});

/** A file, or a data set on the hub. `role`: the columns that the task names. */
function dataSource<Columns extends z.ZodType>(columns: Columns) {
  return section({
    path: text(
      'A CSV, TSV, JSON, JSONL or Parquet file, relative to this configuration or to the working folder.',
    ).optional(),
    format: z
      .enum(['csv', 'tsv', 'json', 'jsonl', 'parquet'])
      .optional()
      .describe('Default: by the file’s name.'),
    delimiter: z
      .string()
      .regex(/^[^"\r\n]$/, { error: 'must be one character; a tab is "\\t" in double quotes' })
      .optional()
      .describe(
        'What parts a CSV file’s fields. Default: a comma, tab, semicolon or bar, recognised by the first lines.',
      ),
    hub: text('A data set on the Hugging Face hub, in place of a path.').optional(),
    config: text('The hub data set’s configuration. Default: its default one.').optional(),
    split: text('The hub data set’s split. Default: train or test, as the section is named.').optional(),
    revision: text('The hub data set’s branch, tag or commit. Default: its Parquet branch.').optional(),
    columns: columns.optional().describe('This source’s column names, where they differ from the task’s.'),
    fraction: z.number().gt(0).max(1).optional().describe('Take this share of the rows.'),
    count: whole(1, 'Take this many rows.').optional(),
    stratify: flag('Draw each label’s share alike; for tasks with labels. Default true there.').optional(),
    seed: seed(
      'Which rows fraction or count take. Default: the top level’s for train; 42 for test, so that runs of several seeds answer the same rows.',
    ).optional(),
  }).superRefine((source, context) => {
    if ((source.path === undefined) === (source.hub === undefined)) {
      context.addIssue({
        code: 'custom',
        message: `needs either 'path' (a file) or 'hub' (a data set on the hub)`,
      });
    }
    if (source.path !== undefined) {
      for (const key of ['config', 'split', 'revision'] as const) {
        if (source[key] !== undefined)
          context.addIssue({ code: 'custom', path: [key], message: `goes with 'hub'; a file has none` });
      }
    } else {
      for (const key of ['format', 'delimiter'] as const) {
        if (source[key] !== undefined)
          context.addIssue({
            code: 'custom',
            path: [key],
            message: `goes with 'path'; the hub’s data is Parquet`,
          });
      }
    }
    if (source.fraction !== undefined && source.count !== undefined) {
      context.addIssue({
        code: 'custom',
        path: ['count'],
        message: `cannot be given together with 'fraction'`,
      });
    }
  });
}

const partSize = (description: string) =>
  z
    .number()
    .gt(0)
    .refine((size) => size < 1 || Number.isInteger(size), {
      error: 'must be a share below 1, or a number of rows',
    })
    .optional()
    .describe(description);

const split = section({
  test: partSize('Rows to test on: a share of all, or a number.'),
  validation: partSize('Rows to leave out of the training for later choices: a share of all, or a number.'),
  stratify: flag('Give each part each label’s share; for tasks with labels. Default true there.').optional(),
  seed: seed(
    'Which rows go where. Default 42, so that runs of several seeds answer the same rows.',
  ).optional(),
}).refine(({ test, validation }) => test !== undefined || validation !== undefined, {
  error: `needs 'test', 'validation' or both`,
});

const check = section({
  check: text(
    'length (words of the answer for each of the reference), word_overlap (share of the reference’s words that the answer has), ' +
      'jaccard (words of both over words of either), rouge1, rouge2, rougeL, rougeLsum (F-measures), or a .ts, .js or .mjs file, ' +
      'relative to this configuration, whose default export gives a number or true or false for a row.',
  ).refine(isCheck, {
    error: `is no check: it is one of ${[...MEASURES.keys()].join(', ')}, or a file that ends in .ts, .js or .mjs`,
  }),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, {
      error: 'is no name for a column: use letters, digits, _, - and ., 64 at most',
    })
    .optional()
    .describe('The column’s name. Default: the check’s, or the file’s without its ending.'),
  min: z.number().optional().describe('The command fails where the mean over the test rows is below.'),
  max: z.number().optional().describe('The command fails where the mean over the test rows is above.'),
})
  .refine(({ check, name }) => name !== undefined || !/(^|[\\/])__proto__\.\w+$/.test(check), {
    error: "needs a name: that of its file is no column's",
  })
  .refine(({ min, max }) => min === undefined || max === undefined || min <= max, {
    error: 'has a min above its max',
  });

/** What every task has. */
function taskFields<Columns extends z.ZodType>(columns: Columns, columnsDescription: string) {
  const source = dataSource(columns);
  return {
    train: source.optional().describe('Rows to train on, and to choose few-shot examples from.'),
    test: source.optional().describe('Rows to answer and score.'),
    split: split
      .optional()
      .describe(
        'Makes test and validation rows of the rows of train, which no training sees. Default: none.',
      ),
    allow_overlap: flag(
      'Test on rows that are trained on. Default false: such a test set is refused.',
    ).optional(),
    columns: columns.optional().describe(columnsDescription),
    baselines: z
      .array(z.enum(['zero_shot', 'few_shot']))
      .optional()
      .describe(
        'Ask the model before tuning, too. Default: zero_shot, and few_shot where there is training data.',
      ),
    max_new_tokens: whole(
      1,
      'Tokens of a tuned model’s answer at most. Default 20 for classification, else 100.',
    ).optional(),
    baseline_max_new_tokens: whole(
      1,
      'The same before tuning. Default 50 for summarization, else as max_new_tokens.',
    ).optional(),
    checks: z
      .array(check)
      .optional()
      .describe(
        'Further figures of the answers, each a column, and what they must come to: of the tuned model where there is one. Default: none.',
      ),
    adapter: z
      .union([z.literal(false), text('A folder.')])
      .optional()
      .describe('In place of the top level’s adapter; false: a new one.'),
    lora: z
      .union([z.literal(false), lora])
      .optional()
      .describe('What differs from the top level’s lora.'),
    training: z
      .union([z.literal(false), training])
      .optional()
      .describe('What differs from the top level’s training.'),
    generation: generation.optional().describe('What differs from the top level’s generation.'),
  };
}

const scoring = z
  .enum(['generate', 'likelihood', 'both'])
  .optional()
  .describe('Read the answer from generated text, take the likeliest label, or do both. Default generate.');
const labels = z
  .array(text('A class.'))
  .min(2)
  .optional()
  .describe('The classes. Default: those of the training data, sorted.');
const rougeTokenizer = z
  .enum(['ascii', 'unicode'])
  .optional()
  .describe(
    'Words to ROUGE. ascii: runs of a to z and 0 to 9, as Google’s rouge_score has them; unicode: words of any script. Default ascii.',
  );
const likelihoodNormalization = z
  .enum(['none', 'length'])
  .optional()
  .describe(
    'The likeliest label is that of the highest likelihood as a whole (none), or for each of its characters (length), as acc and acc_norm of ' +
      'lm-evaluation-harness. Default none.',
  );
const fewShotPerLabel = whole(1, 'Examples of each class in a few-shot prompt. Default 1.').optional();
const fewShot = whole(1, 'Examples in a few-shot prompt. Default 2.').optional();

const classification = section({
  task: z.literal('classification').describe('Name the class of a text.'),
  ...taskFields(
    section({
      text: text('The column of the text. Default text.').optional(),
      label: text('The column of the class. Default label.').optional(),
    }),
    'The data’s names for text and label.',
  ),
  labels,
  scoring,
  likelihood_normalization: likelihoodNormalization,
  few_shot_examples: fewShotPerLabel,
});

const summarization = section({
  task: z.literal('summarization').describe('Summarize a dialogue.'),
  ...taskFields(
    section({
      dialogue: text('The column of the dialogue. Default dialogue.').optional(),
      summary: text('The column of the summary. Default summary.').optional(),
    }),
    'The data’s names for dialogue and summary.',
  ),
  rouge_tokenizer: rougeTokenizer,
  few_shot_examples: fewShot,
});

/** A template whose braces match and which names a column at least. */
const template = (description: string) =>
  text(description).superRefine((value, context) => {
    try {
      if (parseTemplate(value, 'it').columns.length === 0)
        context.addIssue({ code: 'custom', message: 'names no column; write {column} where one belongs' });
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error).replace(/^it: /, 'has ') });
    }
  });

const custom = section({
  task: z.literal('custom').describe('A task made of templates over columns.'),
  ...taskFields(
    z.record(z.string().min(1), text('The column’s name in the data.')),
    'The data’s names for the templates’ columns. Default: the same.',
  ),
  prompt: template(
    'What the model is given, with columns in braces: "Question: {question} Answer:"; {input?} may be missing.',
  ),
  completion: template('What it should answer: "{answer}".'),
  metric: z
    .enum(['accuracy', 'rouge', 'exact_match'])
    .describe('accuracy: the answers are classes; rouge: free text; exact_match: the very same text.'),
  instruction: text('Stands before the prompts of the baselines.').optional(),
  multiline: flag(
    'true: answers have several lines. false: an answer ends with its first line, and line breaks in the data’s become spaces. ' +
      'Default: as the data has them.',
  ).optional(),
  rouge_tokenizer: rougeTokenizer,
  labels,
  scoring,
  likelihood_normalization: likelihoodNormalization,
  few_shot_examples: fewShot,
});

/** A field by its keys, joined by dots: 'tasks.topics.train.fraction'. */
const axis = text('A field that holds a list, by its keys with dots between them.');

const grid = section({
  zip: z
    .array(z.array(axis).min(2))
    .optional()
    .describe(
      'Axes that go in step, first with first and so on, in place of each with each: a list of lists of fields.',
    ),
  exclude: z
    .array(z.record(axis, z.unknown()))
    .optional()
    .describe(
      'Points to leave out: those that have all of an entry’s values, or one of those that it lists for a field.',
    ),
});

const mlflow = section({
  tracking_uri: text('The server’s http or https address. Default: MLFLOW_TRACKING_URI.')
    .refine((uri) => /^https?:\/\/[^/]+/.test(uri), { error: 'must be an http or https address' })
    .refine((uri) => !/^[^/]*\/\/[^/]*@/.test(uri), {
      error: 'holds a password: put it into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD',
    })
    .optional(),
  experiment_name: text('Default: MLFLOW_EXPERIMENT_NAME, or Default.').optional(),
});

/** The file's shape, with one value for each field: grid.ts makes such of one with lists. */
export const configSchema = section({
  extends: text(
    'Another configuration, relative to this one’s folder, or a preset’s name: its settings hold where this one has none.',
  ).optional(),
  model_name_or_path: text('A model folder in Hugging Face’s layout, or a model’s name on the hub.'),
  revision: text('The hub model’s branch, tag or commit. Default main.').optional(),
  adapter: text(
    'A finished LoRA adapter to start from, in place of a new one: a folder in PEFT’s format, or a run’s. Its rank, alpha and modules are taken.',
  ).optional(),
  device: z
    .enum(['auto', 'cuda', 'cpu', 'reference'])
    .optional()
    .describe('Where to compute. auto: the fastest there is. Default auto.'),
  output_dir: text(
    'The folder for the runs’ folders, relative to the working folder. Default runs.',
  ).optional(),
  seed: seed('Of everything random but the choice of test rows. Default 42.').optional(),
  quantization: z
    .union([z.literal(false), quantization])
    .optional()
    .describe('4-bit weights for the frozen base model. Default: none.'),
  torch_dtype: z
    .enum(['auto', 'float32', 'bfloat16', 'float16'])
    .optional()
    .describe('The type of weights that are not quantized. auto: as the checkpoint has them. Default auto.'),
  lora: z
    .union([z.literal(false), lora])
    .optional()
    .describe('The adapter. Left out or false: every weight is trained.'),
  training: z
    .union([z.literal(false), training])
    .optional()
    .describe(
      'For all tasks; a task’s own section comes first. false: nothing is trained, only baselines are asked.',
    ),
  generation: generation.optional().describe('For all tasks; a task’s own section comes first.'),
  grid: grid.optional().describe('How lists in other fields, each an axis of a grid of runs, go together.'),
  report_to: z
    .array(z.enum(TRACKER_NAMES))
    .optional()
    .describe(
      'Who is told each step and figure: tensorboard (an event file in the task’s folder), mlflow (a server). Default [tensorboard].',
    ),
  mlflow: mlflow.optional().describe('Where MLflow is told, in place of its environment variables.'),
  tasks: z
    .record(
      z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/),
      z.discriminatedUnion('task', [classification, summarization, custom]),
    )
    .refine((tasks) => Object.keys(tasks).length > 0, { error: 'needs one task at least' })
    .describe('The tasks, by names of your choice (letters, digits, _ and -).'),
});

/** The sections that hold settings of one kind: where a key that stands in the wrong place belongs. */
export const SETTING_SECTIONS: Readonly<Record<string, readonly string[]>> = {
  quantization: Object.keys(quantization.shape),
  lora: Object.keys(lora.shape),
  training: Object.keys(training.shape),
  generation: Object.keys(generation.shape),
};

/** A configuration that stands in a file. */
export type ConfigFile = z.infer<typeof configSchema>;
export type TaskFile = ConfigFile['tasks'][string];
export type CheckSection = z.infer<typeof check>;
export type LoraSection = z.infer<typeof lora>;
export type TrainingSection = z.infer<typeof training>;
export type GenerationSection = z.infer<typeof generation>;
