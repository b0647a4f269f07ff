/** Runs as they lie on the disk: whatever a folder holds is checked, so that a damaged file is named with its mend. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { StepRecord } from '../../train/trainer.js';
import { messageOf, UserError } from '../../util/errors.js';
import { lockHolder } from '../../util/lock.js';
import { parseJson, readText } from '../../util/read.js';
import type { Fingerprints, ResolvedConfig } from '../config/index.js';
import { FAULT, LOCK } from './folder.js';
import type { Prediction } from './predictions.js';
import { faultOf, readRecords } from './records.js';
import type { MethodResult, TaskResult } from './results.js';
import { failureSchema, manifestSchema, predictionSchema, resultSchema, stepSchema } from './schemas.js';

/** Stopped: nobody works on it, and it can go on. */
export type RunState = 'finished' | 'failed' | 'running' | 'stopped';

export interface Manifest {
  readonly id: string;
  readonly westwind: string;
  readonly started: string;
  readonly config: ResolvedConfig;
  readonly fingerprints: Pick<Fingerprints, 'model' | 'data' | 'adapters' | 'backend'>;
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
  const predictions = readRecords<Prediction>(path, predictionSchema);
  const rows = new Set(predictions.map(({ row }) => row)).size;
  if (rows !== predictions.length || rows !== test_rows) {
    const what = existsSync(path) ? `holds ${rows} whole answers` : 'is missing, and had answers';
    throw new UserError(
      `${path} ${what} to ${test_rows} test rows: remove ${folder}, and run its configuration again`,
    );
  }
  return predictions.sort((a, b) => a.row - b.row);
}

function predictionsFile(method: MethodResult['method'], scoring: 'generate' | 'likelihood'): string {
  return `predictions-${method}${scoring === 'likelihood' ? '-likelihood' : ''}.jsonl`;
}

/** The steps of a task's training so far. */
export function readSteps({ folder }: StoredRun, task: string): StepRecord[] {
  return readRecords(join(folder, task, 'train.jsonl'), stepSchema);
}

/** A JSON file of a known shape; `mend` is what to do where it is damaged. */
export function readChecked<T>(path: string, schema: z.ZodType<T>, mend: string): T {
  const text = readText(path);
  let json: unknown;
  try {
    json = parseJson(text, 'it');
  } catch (error) {
    throw new UserError(`${path} is damaged (${messageOf(error)}): ${mend}`);
  }
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  throw new UserError(`${path} is damaged (${faultOf(checked.error)}): ${mend}`);
}
