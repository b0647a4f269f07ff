/**
 * The name of a result: a hash of everything that determines it, and of nothing else, so that a run that was done is recognised and
 * one that differs is not mistaken for it.
 */

import { createHash } from 'node:crypto';
import type { ResolvedConfig, ResolvedSource, ResolvedTask } from './resolve.js';

/** Raised when a change to Westwind changes what the same configuration gives. */
const RESULTS_VERSION = 3;

/** Hashes of contents (of large checkpoints: of pieces of them): a file that is moved or renamed gives the same result. */
export interface Fingerprints {
  readonly model: string;
  /** By `task.split`, as in 'topics.train'. */
  readonly data: Readonly<Record<string, string>>;
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
    seed,
    weights,
    tasks: tasks.map((task) => taskParts(task, fingerprints)),
  };
  return createHash('sha256').update(canonicalJson(determining)).digest('hex').slice(0, 12);
}

function taskParts(task: ResolvedTask, { data, batchInvariant }: Fingerprints): Record<string, unknown> {
  const sourceParts = (split: 'train' | 'test', source: ResolvedSource | undefined): unknown => {
    if (source === undefined) return undefined;
    const content = data[`${task.name}.${split}`];
    if (content === undefined) throw new Error(`no fingerprint of ${task.name}.${split}`);
    const { columns, fraction, count, stratify } = source;
    return { content, columns, fraction, count, stratify };
  };
  return {
    ...task,
    checks: undefined,
    training: {
      ...task.training,
      logging_steps: undefined,
      save_steps: undefined,
      save_total_limit: undefined,
      // Where memory is, and what is computed twice, shows in no bit.
      gradient_checkpointing: undefined,
      optim: undefined,
    },
    generation: { ...task.generation, batch_size: batchInvariant ? undefined : task.generation.batch_size },
    train: sourceParts('train', task.train),
    test: sourceParts('test', task.test),
  };
}

/** JSON with sorted keys: the same text for the same value, in whatever order it was built. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
