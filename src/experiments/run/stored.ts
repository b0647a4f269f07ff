/** Runs as they lie on the disk: whatever a folder holds is checked, so that a damaged file is named with its mend. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readFault } from '../../files/faults.js';
import type { StepRecord } from '../../train/trainer.js';
import { messageOf, UserError } from '../../util/errors.js';
import { lockHolder } from '../../util/lock.js';
import type { Fingerprints, ResolvedConfig } from '../config/index.js';
import { FAULT, LOCK } from './folder.js';
import type { Overlap } from './overlap.js';
import type { Prediction } from './predictions.js';
import { readRecords } from './records.js';
import type { MethodResult, TaskResult } from './results.js';

/** Stopped: nobody works on it, and it can go on. */
export type RunState = 'finished' | 'failed' | 'running' | 'stopped';

export interface Manifest {
  readonly id: string;
  readonly westwind: string;
  readonly started: string;
  readonly config: ResolvedConfig;
  readonly fingerprints: Pick<Fingerprints, 'model' | 'data' | 'backend'>;
  /** How the base model's weights are held (base-weights.ts); runs of before it was told have none. */
  readonly weights?: string;
}

export interface StoredRun {
  readonly folder: string;
  readonly id: string;
  readonly state: RunState;
  /** Why it failed. */
  readonly failure?: string;
  readonly manifest: Manifest;
  /** Of the tasks that are done. */
  readonly results: readonly TaskResult[];
}

const taskName = z.string().regex(/^(?!\.{1,2}$)[^/\\]+$/);

const source = z.looseObject({
  from: z.union([z.looseObject({ path: z.string() }), z.looseObject({ hub: z.string(), split: z.string() })]),
  fraction: z.number().optional(),
  count: z.number().optional(),
});

const section = z.record(z.string(), z.unknown());

/** Of a manifest, what readers of runs rely on; the rest is passed on as it is. */
const manifestSchema = z.looseObject({
  id: z.string(),
  westwind: z.string(),
  started: z.iso.datetime(),
  fingerprints: z.looseObject({
    model: z.string(),
    data: z.record(z.string(), z.string()),
    backend: z.string(),
  }),
  weights: z.string().optional(),
  config: z.looseObject({
    model_name_or_path: z.string(),
    revision: z.string(),
    seed: z.number(),
    weights: z.looseObject({ dtype: z.string() }),
    tasks: z.array(
      z.looseObject({
        name: taskName,
        settings: z.looseObject({ task: z.enum(['classification', 'summarization', 'custom']) }),
        train: source.optional(),
        test: source.optional(),
        scoring: z.enum(['generate', 'likelihood', 'both']),
        few_shot_examples: z.number(),
        lora: z.union([z.literal(false), section]),
        training: section,
        generation: section,
      }),
    ),
  }),
});

/** JSON has no NaN: a loss that was none is null. */
const loss = z
  .number()
  .nullable()
  .transform((x) => x ?? Number.NaN);

const interval = z.object({ low: z.number(), high: z.number() });
const check = z.object({
  mean: z.number(),
  interval,
  min: z.number().optional(),
  max: z.number().optional(),
});

const OVERLAP = {
  shared: z.number(),
  shared_examples: z.number(),
  test_in_train: z.number(),
  validation_in_train: z.number(),
  train_repeats: z.number(),
  test_repeats: z.number(),
} satisfies Record<keyof Overlap, z.ZodType<number>>;

const resultSchema = z.looseObject({
  task: taskName,
  kind: z.enum(['classification', 'summarization', 'custom']),
  metric: z.enum(['classification', 'rouge', 'exact_match']),
  rouge_tokenizer: z.enum(['ascii', 'unicode']).optional(),
  train_rows: z.number(),
  validation_rows: z.number().optional(),
  test_rows: z.number(),
  overlap: z.object(OVERLAP).optional(),
  methods: z.array(
    z.looseObject({
      method: z.enum(['zero_shot', 'few_shot', 'tuned']),
      metrics: z.record(z.string(), z.number()),
      intervals: z.record(z.string(), interval).default({}),
      rows: z.number(),
      unanswered: z.number(),
      unread: z.number().optional(),
      seconds: z.number(),
      checks: z.record(z.string(), check).optional(),
    }),
  ),
  training: z
    .looseObject({ steps: z.number(), first_loss: loss, last_loss: loss, tokens: z.number() })
    .optional(),
});

const failureSchema = z.looseObject({ message: z.string() });

/** Whether a folder is a run's: it has a manifest. */
export function isRunFolder(folder: string): boolean {
  return existsSync(join(folder, 'manifest.json'));
}

/** Reads a run's folder, whatever its state. Throws UserError for one that is none, and for a damaged file. */
export function readRun(folder: string): StoredRun {
  if (!isRunFolder(folder)) throw new UserError(`${folder} is no run's folder: it has no manifest.json`);
  const again = 'remove the folder, and run its configuration again';
  const manifest = readChecked(join(folder, 'manifest.json'), manifestSchema, again) as unknown as Manifest;
  const done = join(folder, 'results.json');
  const failed = join(folder, FAULT);
  const base = { folder, id: manifest.id, manifest };
  if (existsSync(done)) {
    const results = readChecked(done, z.array(resultSchema), 'remove it, and run its configuration again');
    return { ...base, state: 'finished', results: results as unknown as TaskResult[] };
  }
  const results = manifest.config.tasks.flatMap(({ name }) => {
    const path = join(folder, name, 'result.json');
    if (!existsSync(path)) return [];
    return [
      readChecked(path, resultSchema, 'remove it, and run its configuration again') as unknown as TaskResult,
    ];
  });
  if (lockHolder(join(folder, LOCK)) !== undefined) return { ...base, state: 'running', results };
  if (!existsSync(failed)) return { ...base, state: 'stopped', results };
  const { message } = readChecked(failed, failureSchema, 'remove it, and run its configuration again');
  return { ...base, state: 'failed', failure: message, results };
}

/** The run's folders that are named or lie in named folders. Throws UserError where there are none. */
export function findRunFolders(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (!(statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false))
      throw new UserError(`${path} is no folder: name a run's, or one that holds runs' folders`);
    if (isRunFolder(path)) return [path];
    const found = readdirSync(path)
      .map((name) => join(path, name))
      .filter(isRunFolder)
      .sort();
    if (found.length === 0)
      throw new UserError(`${path} holds no runs: none of its folders has a manifest.json`);
    return found;
  });
}

/**
 * The answers of a method to all test rows, in the rows' order. Throws UserError where some are missing or damaged.
 * @param scoring how they were found; by likelihood has a file of its own
 */
export function readPredictions(
  { folder }: StoredRun,
  { task, test_rows }: Pick<TaskResult, 'task' | 'test_rows'>,
  method: MethodResult['method'],
  scoring: 'generate' | 'likelihood',
): Prediction[] {
  const path = join(folder, task, predictionsFile(method, scoring));
  const predictions = readRecords<Partial<Prediction>>(path);
  const whole = predictions.every(
    ({ row, reference, answer }) =>
      Number.isInteger(row) &&
      typeof reference === 'string' &&
      (answer === null || typeof answer === 'string'),
  );
  const rows = new Set(predictions.map(({ row }) => row)).size;
  if (!whole || rows !== predictions.length || rows !== test_rows) {
    const what = existsSync(path) ? `holds ${rows} whole answers` : 'is missing, and had answers';
    throw new UserError(
      `${path} ${what} to ${test_rows} test rows: remove ${folder}, and run its configuration again`,
    );
  }
  return (predictions as Prediction[]).sort((a, b) => a.row - b.row);
}

function predictionsFile(method: MethodResult['method'], scoring: 'generate' | 'likelihood'): string {
  return `predictions-${method}${scoring === 'likelihood' ? '-likelihood' : ''}.jsonl`;
}

/** The steps of a task's training so far. */
export function readSteps({ folder }: StoredRun, task: string): StepRecord[] {
  return readRecords<StepRecord>(join(folder, task, 'train.jsonl'));
}

/** A JSON file of a known shape; `mend` is what to do where it is damaged. */
export function readChecked<T>(path: string, schema: z.ZodType<T>, mend: string): T {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw readFault(path, error);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is damaged (${messageOf(error)}): ${mend}`);
  }
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const place = issue!.path.map(String).join('.');
  throw new UserError(`${path} is damaged (${place === '' ? '' : `${place}: `}${issue!.message}): ${mend}`);
}
