/** What a run's figures depend on, read from its manifest: a flat list of settings that can be told apart and named for people. */

import { basename } from 'node:path';
import { moduleNames } from '../../models/families/index.js';
import { own } from '../../util/own.js';
import { BITLESS, type ResolvedSource, type ResolvedTask } from '../config/index.js';
import { weightsHeld } from '../store/base-weights.js';
import type { MethodResult, TaskResult } from '../store/results.js';
import type { Manifest } from '../store/manifest.js';

export type Value = string | number | boolean;
/** By dotted name, as in a configuration. */
export type Factors = Readonly<Record<string, Value>>;

/** The number of rows that were trained on. */
export const TRAIN_ROWS = 'train.rows';
export const MODEL = 'model';
export const NEFTUNE = 'training.neftune_noise_alpha';
export const MODULES = 'lora.target_modules';

/** Changes no figure, or stands for the seed, which is kept apart. */
const isIgnored = (name: string): boolean => BITLESS.has(name) || name === 'training.seed';

/** All that one method's figures on one task depend on, but for the test rows and the seed; of no prototype, for names come from files. */
export function factorsOf(...of: Parameters<typeof settingsOf>): Factors {
  return Object.assign(Object.create(null) as Record<string, Value>, settingsOf(...of));
}

function settingsOf(
  { config, fingerprints, weights }: Manifest,
  task: ResolvedTask,
  { train_rows }: Pick<TaskResult, 'train_rows'>,
  method: MethodResult['method'],
): Factors {
  const { max_new_tokens, baseline_max_new_tokens, do_sample, temperature, top_p, top_k } = task.generation;
  const common = {
    [MODEL]: modelName(config.model_name_or_path),
    'model.content': fingerprints.model,
    weights: weights ?? weightsHeld(config.weights),
    scoring: task.scoring === 'likelihood' ? 'likelihood' : 'generate',
    ...flat('', { ...task.settings, task: undefined }),
    max_new_tokens: method === 'tuned' ? max_new_tokens : baseline_max_new_tokens,
    do_sample,
    ...(do_sample && { temperature, top_p, top_k }),
    'training.bf16': task.training.bf16,
  };
  if (method === 'zero_shot') return common;
  const { deduplicate, decontaminate } = task;
  const content = {
    'train.content': fingerprints.data[`${task.name}.train`] ?? '',
    ...(deduplicate !== undefined && { deduplicate }),
    ...(decontaminate !== undefined && { decontaminate }),
  };
  // Examples come from all of the rows, however many are trained on.
  if (method === 'few_shot') return { ...common, ...content, few_shot_examples: task.few_shot_examples };
  const adapter = own(fingerprints.adapters, task.name);
  const trained = {
    ...flat('lora.', task.lora === false ? { r: 'none' } : { ...task.lora }),
    ...flat('training.', { ...task.training }),
  };
  return {
    ...common,
    ...content,
    [TRAIN_ROWS]: train_rows,
    ...(adapter !== undefined && { adapter }),
    ...mixtureOf(task),
    'train.stratify': task.train?.stratify ?? false,
    ...(task.train?.seed !== undefined && { 'train.seed': task.train.seed }),
    ...Object.fromEntries(Object.entries(trained).filter(([name]) => !isIgnored(name))),
  };
}

/** What of a mixture's sources is taken. */
function mixtureOf({ train }: ResolvedTask): Record<string, Value> {
  if (!train || !('mixture' in train.from)) return {};
  const { mixture, stopping_strategy } = train.from;
  const told = mixture.map(({ name, weight, count, fraction }) =>
    [name, weight, count ?? fraction].filter((part) => part !== undefined).join(' '),
  );
  return { 'train.mixture': told.join(', '), 'train.stopping_strategy': stopping_strategy };
}

/** Nested sections with dotted names; lists as text. */
function flat(prefix: string, section: Readonly<Record<string, unknown>>): Record<string, Value> {
  const out: Record<string, Value> = {};
  for (const [key, value] of Object.entries(section)) {
    if (value === undefined || value === null) continue;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      out[prefix + key] = value;
    else if (Array.isArray(value)) out[prefix + key] = value.map(String).join(', ');
    else Object.assign(out, flat(`${prefix}${key}.`, value as Record<string, unknown>));
  }
  return out;
}

/** A hub's name as it is, a folder by its last part. */
function modelName(model: string): string {
  return /^[\w.-]+\/[\w.-]+$/.test(model) && !model.startsWith('.') ? model : basename(model);
}

export function sourceName({ from }: ResolvedSource): string {
  if ('mixture' in from) return from.mixture.map(({ name }) => name).join(' + ');
  return 'hub' in from ? from.hub : basename(from.path);
}

/** Queries and values, whatever a model calls them. */
const ATTENTION_ONLY: readonly string[] = moduleNames(['q_proj', 'v_proj']).map((names) => names.join());

/** Whether an adapter is on more than the attention's queries and values. */
export function onAllModules(factors: Factors): boolean {
  const modules = factors[MODULES];
  return modules !== undefined && !ATTENTION_ONLY.includes(String(modules).split(', ').sort().join());
}

export function withNeftune(factors: Factors): boolean {
  return Number(factors[NEFTUNE] ?? 0) > 0;
}

/** What an axis is called, and how one of its values stands in a list of settings. */
const NAMES: Readonly<Record<string, readonly [axis: string, inText: (value: string) => string]>> = {
  [MODEL]: ['model', (v) => v],
  'model.content': ["the model's weights", (v) => `weights ${v.slice(0, 6)}`],
  [TRAIN_ROWS]: ['training rows', (v) => `${v} training rows`],
  'train.content': ['training data', (v) => `training data ${v.slice(0, 6)}`],
  adapter: ['first adapter', (v) => `from adapter ${v.slice(0, 6)}`],
  'lora.r': ['LoRA rank', (v) => `rank ${v}`],
  'lora.lora_alpha': ['LoRA alpha', (v) => `alpha ${v}`],
  'lora.lora_dropout': ['LoRA dropout', (v) => `dropout ${v}`],
  [MODULES]: ['target modules', (v) => `on ${v}`],
  [NEFTUNE]: ['NEFTune alpha', (v) => (v === '0' ? 'no NEFTune' : `NEFTune ${v}`)],
  'training.num_train_epochs': ['epochs', (v) => `${v} epoch${v === '1' ? '' : 's'}`],
  'training.max_steps': ['steps at most', (v) => (v === '0' ? 'all steps' : `${v} steps`)],
  'training.learning_rate': ['learning rate', (v) => `learning rate ${v}`],
  'training.packing': ['packing', (v) => `packing ${v}`],
  'training.completion_only_loss': [
    'loss on answers alone',
    (v) => (v === 'true' ? 'loss on answers' : 'loss on everything'),
  ],
  weights: ['weights', (v) => `${v} weights`],
  scoring: ['scoring', (v) => (v === 'likelihood' ? 'scored by likelihood' : 'scored by generating')],
  few_shot_examples: ['examples shown', (v) => `${v} example${v === '1' ? '' : 's'}`],
};

export function axisName(factor: string): string {
  return own(NAMES, factor)?.[0] ?? factor;
}

export function valueInText(factor: string, value: Value | undefined): string {
  if (value === undefined) return `no ${axisName(factor)}`;
  return own(NAMES, factor)?.[1](String(value)) ?? `${factor} ${value}`;
}

/** Numbers by size, then texts by code point; what is absent comes first. */
export function compareValues(a: Value | undefined, b: Value | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? -1 : 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'number' || typeof b === 'number') return typeof a === 'number' ? -1 : 1;
  return String(a) < String(b) ? -1 : 1;
}

/** The values that a factor takes, each once, in order. */
export function valuesOf(
  factor: string,
  of: readonly { readonly factors: Factors }[],
): (Value | undefined)[] {
  return [...new Set(of.map(({ factors }) => factors[factor]))].sort(compareValues);
}

/** The factors that take more than one value, sorted by name. */
export function varying(of: readonly { readonly factors: Factors }[]): string[] {
  const names = new Set(of.flatMap(({ factors }) => Object.keys(factors)));
  return [...names].filter((name) => valuesOf(name, of).length > 1).sort();
}
