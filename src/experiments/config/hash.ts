/**
 * The name of a result: a hash of everything that determines it, and of nothing else, so that a run that was done is recognised and
 * one that differs is not mistaken for it.
 */

import { createHash } from 'node:crypto';
import { own } from '../../util/own.js';
import type { ResolvedConfig } from './resolve.js';
import { BITLESS } from './schema.js';
import { isDrawn, isOwn, type FromMixture, type ResolvedSource } from './settings/rows.js';
import { searchMetric } from './settings/search.js';
import { dependsOnSeed, type ResolvedTask } from './settings/task.js';
import { type SectionSplit, bySection } from './splits.js';

/** Raised when a change to Westwind changes what the same configuration gives. */
const RESULTS_VERSION = 6;

/** Hashes of contents (of large checkpoints: of pieces of them): a file that is moved or renamed gives the same result. */
export interface Fingerprints {
  readonly model: string;
  /** By `task.split`, as in 'topics.train'. */
  readonly data: Readonly<Record<string, string>>;
  /** By task, of the weights of the adapter that its training starts from. */
  readonly adapters?: Readonly<Record<string, string>>;
  /** The backend's name and what of the machine shows in its bits; not the number of threads. */
  readonly backend: string;
  /** Whether an answer is the same, to the bit, whatever is generated beside it. */
  readonly batchInvariant: boolean;
}

/** The first 12 hexadecimal digits of the SHA-256. Throws Error where a source's fingerprint is missing. */
export function resultHash(config: ResolvedConfig, fingerprints: Fingerprints): string {
  const { seed, weights, tasks } = config;
  const { model, backend } = fingerprints;
  const determining = {
    version: RESULTS_VERSION,
    model,
    backend,
    seed: tasks.some(isSeeded) ? seed : undefined,
    weights,
    tasks: tasks.map((task) => taskParts(task, config, fingerprints)),
  };
  return createHash('sha256').update(canonicalJson(determining)).digest('hex').slice(0, 12);
}

/** Whether anything of a task depends on the run's seed. */
function isSeeded(task: ResolvedTask): boolean {
  return task.tune || task.baselines.some((method) => dependsOnSeed(task, method));
}

function taskParts(
  task: ResolvedTask,
  config: ResolvedConfig,
  { data, adapters, batchInvariant }: Fingerprints,
): Record<string, unknown> {
  const { name, settings, tune, baselines, scoring, few_shot_examples, lora, training, generation } = task;
  const sourceParts = (split: SectionSplit, source: ResolvedSource | undefined): unknown => {
    if (source === undefined || !isOwn(split, source)) return undefined;
    const content = data[`${name}.${split}`];
    if (content === undefined) throw new Error(`no fingerprint of ${name}.${split}`);
    const { from, columns, part } = source;
    const mixture = 'mixture' in from ? mixtureParts(from) : undefined;
    const delimiter = 'path' in from ? from.delimiter : undefined;
    // Labels and examples come from all of the training rows, however many are trained on.
    return split === 'train' && !tune
      ? { content, delimiter, mixture, columns, part }
      : { content, delimiter, mixture, columns, ...drawParts(source), part };
  };
  const drawParts = (source: ResolvedSource): Record<string, unknown> => {
    const { fraction, count, stratify } = source;
    // Drawn by the run's seed, they are what they were before they could have a seed of their own.
    const own = isDrawn(source) ? source.seed : undefined;
    return { fraction, count, stratify, seed: isSeeded(task) && own === config.seed ? undefined : own };
  };
  /** Their contents are in the mixture's. */
  const mixtureParts = ({ mixture, stopping_strategy }: FromMixture): unknown => ({
    sources: mixture.map((one) => ({
      delimiter: 'path' in one.from ? one.from.delimiter : undefined,
      columns: one.columns,
      ...drawParts(one),
      weight: tune ? one.weight : undefined,
    })),
    stopping_strategy:
      tune && mixture.some(({ weight }) => weight !== undefined) ? stopping_strategy : undefined,
  });
  const { batch_size, max_new_tokens, baseline_max_new_tokens, ...sampling } = generation;
  const answers = task.test && {
    scoring,
    likelihood_normalization: scoring === 'generate' ? undefined : task.likelihood_normalization,
    baselines,
    few_shot_examples: baselines.includes('few_shot') ? few_shot_examples : undefined,
    generation: {
      ...sampling,
      seed: isSeeded(task) ? sampling.seed : undefined,
      batch_size: batchInvariant ? undefined : batch_size,
      max_new_tokens: tune ? max_new_tokens : undefined,
      baseline_max_new_tokens: baselines.length > 0 ? baseline_max_new_tokens : undefined,
    },
  };
  // What is learnt from; the parts of a split are of what is left, too.
  const learnt = tune || (task.test !== undefined && baselines.includes('few_shot'));
  const leftOut = {
    deduplicate: learnt || task.train?.part ? task.deduplicate : undefined,
    decontaminate: learnt ? task.decontaminate : undefined,
  };
  const tuning = tune && {
    lora,
    adapter: own(adapters, name),
    training: Object.fromEntries(Object.entries(training).filter(([key]) => !BITLESS.has(`training.${key}`))),
    search: searchParts(config.search, training),
  };
  return {
    ...{ name, settings, answers, tuning, bf16: training.bf16, ...leftOut },
    ...bySection((split) => sourceParts(split, task[split])),
  };
}

/** Where a search may stop a training, it is not the training alone: what decides is the trials before it. */
function searchParts(search: ResolvedConfig['search'], training: ResolvedTask['training']): unknown {
  return search?.halving && { ...search.halving, ...searchMetric(search, training) };
}

/** JSON with sorted keys: the same text for the same value, in whatever order it was built. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
