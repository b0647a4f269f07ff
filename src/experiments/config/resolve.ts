/**
 * From the file's sections to the settings of each task: the task's own section before the top level's, that before the defaults. The
 * defaults are the original study's settings, with its missing loss mask put right.
 */

import { basename, extname } from 'node:path';
import type { LoraConfig } from '../../adapters/config.js';
import type { DeviceName } from '../../backends/contract.js';
import type { TableFormat } from '../../data/index.js';
import type { GenerateOptions } from '../../generate/generate.js';
import type { WeightOptions } from '../../models/weights.js';
import { taskColumns, type TaskName, type TaskSettings } from '../../tasks/index.js';
import type { TrainingArguments } from '../../train/arguments.js';
import { isCheckFile } from '../../eval/measures.js';
import type { TrackerName } from '../trackers/index.js';
import type { TrackerSettings } from '../trackers/tracker.js';
import { unknownKey, type Path, type Problem } from './problems.js';
import type {
  CheckSection,
  ConfigFile,
  GenerationSection,
  LoraSection,
  TaskFile,
  TrainingSection,
} from './schema.js';

export type Baseline = 'zero_shot' | 'few_shot';
export type Scoring = 'generate' | 'likelihood' | 'both';
export type LikelihoodNormalization = 'none' | 'length';

/** Rows to read: from where, which columns under which of the task's names, and how many. */
export interface ResolvedSource {
  readonly from:
    | { readonly path: string; readonly format?: TableFormat; readonly delimiter?: string }
    | {
        readonly hub: string;
        readonly config?: string;
        readonly split: string;
        readonly revision?: string;
      };
  /** The data's column for each of the task's. */
  readonly columns: Readonly<Record<string, string>>;
  /** At most one of the two is there; neither: all rows. */
  readonly fraction?: number;
  readonly count?: number;
  /** Draw by label. */
  readonly stratify: boolean;
  /** Which rows are drawn; absent: those of the run's own seed. */
  readonly seed?: number;
  /** The part of the rows that this is, where a split makes several of one file. */
  readonly part?: ResolvedPart;
}

export interface ResolvedPart {
  readonly of: 'train' | 'validation' | 'test';
  /** Shares of all rows below 1, or numbers of rows. */
  readonly test?: number;
  readonly validation?: number;
  readonly stratify: boolean;
  readonly seed: number;
}

/** Whether some of a source's rows are drawn, and not all taken. */
export function isDrawn({ count, fraction }: ResolvedSource): boolean {
  return count !== undefined || (fraction ?? 1) !== 1;
}

/** Whether a method's answers depend on the run's seed: zero-shot prompts are the same for each, and draw nothing unless told to. */
export function dependsOnSeed(
  { scoring, generation }: Pick<ResolvedTask, 'scoring' | 'generation'>,
  method: Baseline | 'tuned',
): boolean {
  return method !== 'zero_shot' || (generation.do_sample && scoring !== 'likelihood');
}

export interface ResolvedTraining extends Omit<TrainingArguments, 'gradient_checkpointing' | 'paged'> {
  /** auto: settled when the run knows its memory (plan/fit.ts). */
  readonly gradient_checkpointing: boolean | 'auto';
  readonly optim: 'auto' | 'adamw_torch' | 'paged_adamw_32bit';
  readonly max_length: number;
  readonly packing: 'none' | 'concat' | 'isolated';
  readonly completion_only_loss: boolean;
  readonly logging_steps: number;
}

export interface ResolvedGeneration extends Pick<
  GenerateOptions,
  'do_sample' | 'temperature' | 'top_p' | 'top_k' | 'seed' | 'batch_size'
> {
  readonly max_new_tokens: number;
  readonly baseline_max_new_tokens: number;
}

/** A figure of the answers, by name or by a file of the user's, and its bounds. */
export interface ResolvedCheck {
  readonly check: string;
  /** The column's. */
  readonly name: string;
  readonly min?: number;
  readonly max?: number;
}

/** A task of a configuration with every default filled in. */
export interface ResolvedTask {
  readonly name: string;
  /** The configuration that it comes from, where the file itself only extends that. */
  readonly inheritedFrom?: string;
  readonly settings: TaskSettings;
  readonly train?: ResolvedSource;
  readonly test?: ResolvedSource;
  /** Rows that a split leaves out of the training for later choices. */
  readonly validation?: ResolvedSource;
  /** Test rows may be training rows. */
  readonly allow_overlap: boolean;
  /** Whether something is trained. */
  readonly tune: boolean;
  readonly baselines: readonly Baseline[];
  readonly scoring: Scoring;
  readonly likelihood_normalization: LikelihoodNormalization;
  /** Of each class for a classification, else in all. */
  readonly few_shot_examples: number;
  readonly checks: readonly ResolvedCheck[];
  /** The folder of the adapter that training starts from. */
  readonly adapter?: string;
  /** False: every weight is trained. */
  readonly lora: LoraConfig | false;
  readonly training: ResolvedTraining;
  readonly generation: ResolvedGeneration;
}

/** A configuration with every default filled in: what a run does, and what its id is a hash of. */
export interface ResolvedConfig {
  readonly model_name_or_path: string;
  readonly revision: string;
  readonly device: 'auto' | DeviceName;
  readonly output_dir: string;
  readonly seed: number;
  /** How the base model's weights are kept where they are not trained. */
  readonly weights: Required<Pick<WeightOptions, 'dtype' | 'quantization'>>;
  /** Who is told of steps and figures. */
  readonly report_to: readonly TrackerName[];
  readonly mlflow: TrackerSettings['mlflow'];
  readonly tasks: readonly ResolvedTask[];
}

interface TaskDefaults {
  readonly r: number;
  readonly num_train_epochs: number;
  readonly max_new_tokens: number;
  readonly few_shot_examples: number;
}

const DEFAULTS: Readonly<Record<TaskName, TaskDefaults>> = {
  classification: { r: 8, num_train_epochs: 5, max_new_tokens: 20, few_shot_examples: 1 },
  summarization: { r: 64, num_train_epochs: 1, max_new_tokens: 100, few_shot_examples: 2 },
  custom: { r: 8, num_train_epochs: 5, max_new_tokens: 100, few_shot_examples: 2 },
};

/** Test rows are the same for every seed of a study, or its figures would differ by the rows, too. */
const TEST_SEED = 42;

/** A summary before tuning; the other tasks' answers are as long before as after. */
const BASELINE_SUMMARY_TOKENS = 50;

const DTYPES = { auto: 'auto', float32: 'f32', bfloat16: 'bf16', float16: 'f16' } as const;

/** For messages about a task that nobody wrote into the configuration's own file. */
export function inheritedNote(task: string, file: string): string {
  return `task '${task}' is inherited from ${file}; tasks.${task}: null leaves it out`;
}

/** The settings of a file whose shape is right, and what in it does not fit together. */
export function resolveConfig(file: ConfigFile): { config: ResolvedConfig; problems: Problem[] } {
  const { quantization, torch_dtype = 'auto', seed = 42 } = file;
  const quantized =
    quantization !== undefined && quantization !== false && quantization.load_in_4bit !== false;
  const tasks = Object.entries(file.tasks).map(([name, task]) => resolveTask(name, task, file, seed));
  const problems = Object.entries(file.tasks).flatMap(([name, task]) => taskProblems(['tasks', name], task));
  for (const { name, lora, tune, adapter } of tasks) {
    if (adapter === undefined) continue;
    const path = file.tasks[name]!.adapter === undefined ? ['adapter'] : ['tasks', name, 'adapter'];
    if (lora === false)
      problems.push({
        path,
        message: `is trained on, but lora is false in task '${name}': leave one of them out`,
      });
    else if (!tune && (path.length > 1 || tasks.every((task) => !task.tune)))
      problems.push({ path, message: `is where training starts, and nothing is trained in task '${name}'` });
  }
  for (const { name, lora, tune } of tasks) {
    if (lora !== false || !tune) continue;
    const path = file.tasks[name]!.lora === false ? ['tasks', name, 'lora'] : ['lora'];
    if (quantized) {
      const message = `is needed with 4-bit weights, which cannot be trained themselves: task '${name}' has none`;
      problems.push({ path, message: `${message}; give it an adapter or leave out quantization` });
    } else if (torch_dtype === 'bfloat16' || torch_dtype === 'float16') {
      problems.push({
        path: ['torch_dtype'],
        message: `must be auto or float32 where every weight is trained, as in task '${name}', which has no lora`,
      });
    }
  }
  const config: ResolvedConfig = {
    model_name_or_path: file.model_name_or_path,
    revision: file.revision ?? 'main',
    device: file.device ?? 'auto',
    output_dir: file.output_dir ?? 'runs',
    seed,
    weights: {
      dtype: DTYPES[torch_dtype],
      quantization: quantized ? { doubleQuant: quantization.bnb_4bit_use_double_quant ?? true } : undefined,
    },
    report_to: file.report_to ?? ['tensorboard'],
    mlflow: {
      ...(file.mlflow?.tracking_uri !== undefined && { tracking_uri: file.mlflow.tracking_uri }),
      ...(file.mlflow?.experiment_name !== undefined && { experiment_name: file.mlflow.experiment_name }),
    },
    tasks,
  };
  return { config, problems };
}

function resolveTask(name: string, task: TaskFile, file: ConfigFile, seed: number): ResolvedTask {
  const defaults = DEFAULTS[task.task];
  const settings = settingsOf(task);
  const labelled = task.task === 'classification' || (task.task === 'custom' && task.metric === 'accuracy');
  const { inputs, answers } = taskColumns(settings);
  const source = (split: 'train' | 'test'): ResolvedSource | undefined =>
    resolveSource(task, split, [...new Set([...inputs, ...answers])], labelled);
  const all = source('train');
  const train = all && { ...all, ...partOf(task, 'train', labelled) };
  const test =
    task.split?.test === undefined ? source('test') : all && partSource(all, task, 'test', labelled);
  const validation =
    task.split?.validation === undefined ? undefined : all && partSource(all, task, 'validation', labelled);
  const adapter = (task.adapter ?? file.adapter) || undefined;
  const lora = task.lora ?? file.lora ?? (adapter === undefined ? false : {});
  const training = task.training ?? file.training ?? {};
  const max_new_tokens = task.max_new_tokens ?? defaults.max_new_tokens;
  const baselineDefault =
    task.task === 'summarization' ? Math.min(max_new_tokens, BASELINE_SUMMARY_TOKENS) : max_new_tokens;
  return {
    name,
    settings,
    ...(train && { train }),
    ...(test && { test }),
    ...(validation && { validation }),
    allow_overlap: task.allow_overlap ?? false,
    tune: train !== undefined && training !== false,
    baselines: task.baselines ?? defaultBaselines(task),
    scoring: ('scoring' in task ? task.scoring : undefined) ?? 'generate',
    likelihood_normalization:
      ('likelihood_normalization' in task ? task.likelihood_normalization : undefined) ?? 'none',
    few_shot_examples: task.few_shot_examples ?? defaults.few_shot_examples,
    checks: (task.checks ?? []).map(resolveCheck),
    ...(adapter !== undefined && { adapter }),
    lora: lora === false ? false : resolveLora({ ...(file.lora || {}), ...lora }, defaults),
    training: resolveTraining({ ...(file.training || {}), ...(training || {}) }, defaults, seed),
    generation: {
      ...resolveGeneration({ ...file.generation, ...task.generation }, seed),
      max_new_tokens,
      baseline_max_new_tokens: task.baseline_max_new_tokens ?? baselineDefault,
    },
  };
}

function defaultBaselines(task: TaskFile): Baseline[] {
  if (!isTested(task)) return [];
  return task.train === undefined ? ['zero_shot'] : ['zero_shot', 'few_shot'];
}

function isTested({ test, split }: TaskFile): boolean {
  return test !== undefined || split?.test !== undefined;
}

function partOf(
  { split }: TaskFile,
  of: ResolvedPart['of'],
  labelled: boolean,
): { readonly part: ResolvedPart } | undefined {
  if (split === undefined) return undefined;
  const { test, validation, stratify = labelled, seed = TEST_SEED } = split;
  return {
    part: {
      of,
      ...(test !== undefined && { test }),
      ...(validation !== undefined && { validation }),
      stratify,
      seed,
    },
  };
}

/** A part of the training file's rows, all of it, whatever sample of its own part is trained on. */
function partSource(
  { from, columns, stratify }: ResolvedSource,
  task: TaskFile,
  of: ResolvedPart['of'],
  labelled: boolean,
): ResolvedSource {
  return { from, columns, stratify, ...partOf(task, of, labelled) };
}

function settingsOf(task: TaskFile): TaskSettings {
  switch (task.task) {
    case 'classification':
      return { task: 'classification', labels: task.labels };
    case 'summarization':
      return { task: 'summarization', rouge_tokenizer: task.rouge_tokenizer };
    case 'custom': {
      const { prompt, completion, metric, instruction, multiline, rouge_tokenizer, labels } = task;
      return { task: 'custom', prompt, completion, metric, instruction, multiline, rouge_tokenizer, labels };
    }
  }
}

function resolveSource(
  task: TaskFile,
  split: 'train' | 'test',
  roles: readonly string[],
  labelled: boolean,
): ResolvedSource | undefined {
  const source = task[split];
  if (source === undefined) return undefined;
  const seed = source.seed ?? (split === 'test' ? TEST_SEED : undefined);
  const given: Readonly<Record<string, string | undefined>> = { ...task.columns, ...source.columns };
  const { path, hub, format, delimiter, config, revision, fraction, count } = source;
  return {
    from:
      path !== undefined
        ? { path, ...(format && { format }), ...(delimiter !== undefined && { delimiter }) }
        : {
            hub: hub!,
            split: source.split ?? split,
            ...(config && { config }),
            ...(revision && { revision }),
          },
    columns: Object.fromEntries(
      roles.map((role) => [role, Object.hasOwn(given, role) ? given[role]! : role]),
    ),
    ...(fraction !== undefined && { fraction }),
    ...(count !== undefined && { count }),
    stratify: source.stratify ?? labelled,
    ...(seed !== undefined && { seed }),
  };
}

function resolveCheck({ check, name, min, max }: CheckSection): ResolvedCheck {
  return {
    check,
    name: name ?? (isCheckFile(check) ? basename(check, extname(check)) : check),
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
  };
}

function resolveLora(section: LoraSection, defaults: TaskDefaults): LoraConfig {
  return {
    r: section.r ?? defaults.r,
    lora_alpha: section.lora_alpha ?? 16,
    lora_dropout: section.lora_dropout ?? 0.1,
    use_rslora: section.use_rslora ?? false,
    target_modules: section.target_modules ?? ['q_proj', 'v_proj'],
  };
}

function resolveTraining(section: TrainingSection, defaults: TaskDefaults, seed: number): ResolvedTraining {
  return {
    num_train_epochs: section.num_train_epochs ?? defaults.num_train_epochs,
    max_steps: section.max_steps ?? 0,
    per_device_train_batch_size: section.per_device_train_batch_size ?? 4,
    gradient_accumulation_steps: section.gradient_accumulation_steps ?? 2,
    learning_rate: section.learning_rate ?? 2e-4,
    lr_scheduler_type: section.lr_scheduler_type ?? 'constant',
    warmup_ratio: section.warmup_ratio ?? 0.03,
    warmup_steps: section.warmup_steps ?? 0,
    max_grad_norm: section.max_grad_norm ?? 0.3,
    weight_decay: section.weight_decay ?? 0,
    adam_beta1: section.adam_beta1 ?? 0.9,
    adam_beta2: section.adam_beta2 ?? 0.999,
    adam_epsilon: section.adam_epsilon ?? 1e-8,
    gradient_checkpointing: section.gradient_checkpointing ?? true,
    optim: section.optim ?? 'auto',
    neftune_noise_alpha: section.neftune_noise_alpha ?? 0,
    bf16: section.bf16 ?? true,
    seed,
    save_steps: section.save_steps ?? 100,
    save_total_limit: section.save_total_limit ?? 2,
    max_length: section.max_length ?? 512,
    packing: section.packing ?? 'concat',
    completion_only_loss: section.completion_only_loss ?? true,
    logging_steps: section.logging_steps ?? 10,
  };
}

function resolveGeneration(
  section: GenerationSection,
  seed: number,
): Omit<ResolvedGeneration, 'max_new_tokens' | 'baseline_max_new_tokens'> {
  return {
    do_sample: section.do_sample ?? false,
    temperature: section.temperature ?? 1,
    top_p: section.top_p ?? 1,
    top_k: section.top_k ?? 0,
    batch_size: section.batch_size ?? 16,
    seed,
  };
}

/** What does not fit together within a task. */
function taskProblems(path: Path, task: TaskFile): Problem[] {
  const problems: Problem[] = [];
  const add = (key: Path, message: string): unknown => problems.push({ path: [...path, ...key], message });
  if (task.train === undefined && task.test === undefined) add([], `needs 'train', 'test' or both`);
  if (task.split !== undefined && task.train === undefined)
    add(['split'], `needs 'train', whose rows it parts`);
  if (task.split?.test !== undefined && task.test !== undefined)
    add(['split', 'test'], `cannot be given together with 'test': the one makes what the other names`);
  if (task.train === undefined) {
    if (task.baselines?.includes('few_shot'))
      add(['baselines'], `few_shot needs 'train' to take examples from`);
    if (task.task === 'classification' && task.labels === undefined)
      add([], `needs 'labels' or 'train' to know its classes`);
  }
  if (!isTested(task) && (task.baselines?.length ?? 0) > 0) add(['baselines'], `need 'test' rows to answer`);
  const names = (task.checks ?? []).map((check) => resolveCheck(check).name);
  for (const [i, name] of names.entries())
    if (names.indexOf(name) < i) add(['checks', i], `has the name ${name}, which an earlier check has`);
  if (names.length > 0 && !isTested(task)) add(['checks'], `need 'test' rows to look at`);
  if (task.task === 'custom') {
    const { inputs, answers } = taskColumns(settingsOf(task));
    const roles = [...inputs, ...answers];
    for (const [key, columns] of [
      [['columns'], task.columns],
      [['train', 'columns'], task.train?.columns],
      [['test', 'columns'], task.test?.columns],
    ] as const) {
      for (const column of Object.keys(columns ?? {}).filter((name) => !roles.includes(name)))
        problems.push(unknownKey([...path, ...key, column], roles));
    }
  }
  const labelled = task.task === 'classification' || (task.task === 'custom' && task.metric === 'accuracy');
  if (task.task === 'custom' && task.metric !== 'rouge' && task.rouge_tokenizer !== undefined)
    add(['rouge_tokenizer'], 'goes with the metric rouge');
  const scored = 'scoring' in task ? task.scoring : undefined;
  if (
    'likelihood_normalization' in task &&
    task.likelihood_normalization !== undefined &&
    (scored ?? 'generate') === 'generate'
  )
    add(['likelihood_normalization'], 'goes with scoring: likelihood or both');
  if (labelled) return problems;
  if (task.split?.stratify === true) add(['split', 'stratify'], 'needs labels, and this task has none');
  if ('labels' in task && task.labels !== undefined) add(['labels'], 'go with the metric accuracy');
  if ('scoring' in task && task.scoring !== undefined && task.scoring !== 'generate')
    add(['scoring'], `must be generate: only the metric accuracy has labels to compare`);
  for (const split of ['train', 'test'] as const) {
    if (task[split]?.stratify === true) add([split, 'stratify'], 'needs labels, and this task has none');
  }
  return problems;
}
