/** Runs as they lie on the disk: whatever a folder holds is checked, so that a damaged file is named with its mend. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../util/errors.js';
import { lockHolder } from '../../util/lock.js';
import type { KeptRow } from '../data/shown-rows.js';
import type { Certificate } from './certificate.js';
import { certificateFile, RUN_FILES, TASK_FILES } from './layout.js';
import type { Manifest } from './manifest.js';
import type { AnsweredBy, Prediction } from './predictions.js';
import type { MethodResult, TaskResult } from './results.js';
import type { LoggedEvaluation, LoggedStep } from './steps.js';

/** Stopped: nobody works on it, and it can go on. */
export type RunState = 'finished' | 'failed' | 'running' | 'stopped';

/** A run as its folder tells of it. */
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
  return RUN_FILES.manifest.isIn(folder);
}

/** Reads a run's folder, whatever its state. Throws UserError for one that is none, and for a damaged file. */
export function readRun(folder: string): StoredRun {
  if (!isRunFolder(folder))
    throw new UserError(`${folder} is no run's folder: it has no ${RUN_FILES.manifest.name}`);
  const manifest = RUN_FILES.manifest.read(folder);
  const base = { folder, id: manifest.id, manifest };
  const all = RUN_FILES.results.find(folder);
  if (all) return { ...base, state: 'finished', results: all };
  const results = manifest.config.tasks.flatMap(
    ({ name }) => TASK_FILES.result.find(join(folder, name)) ?? [],
  );
  if (lockHolder(join(folder, RUN_FILES.lock)) !== undefined) return { ...base, state: 'running', results };
  const failure = RUN_FILES.failure.find(folder)?.message;
  return failure === undefined
    ? { ...base, state: 'stopped', results }
    : { ...base, state: 'failed', failure, results };
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
      throw new UserError(`${path} holds no runs: none of its folders has a ${RUN_FILES.manifest.name}`);
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
  scoring: AnsweredBy,
): Prediction[] {
  const file = TASK_FILES.predictions(method, scoring);
  const path = file.in(join(folder, task));
  const predictions = file.read(join(folder, task));
  const rows = new Set(predictions.map(({ row }) => row)).size;
  if (rows !== predictions.length || rows !== test_rows) {
    const what = existsSync(path) ? `holds ${rows} whole answers` : 'is missing, and had answers';
    throw new UserError(
      `${path} ${what} to ${test_rows} test rows: remove ${folder}, and run its configuration again`,
    );
  }
  return predictions.sort((a, b) => a.row - b.row);
}

/** The steps of a task's training so far. */
export function readSteps({ folder }: StoredRun, task: string): LoggedStep[] {
  return TASK_FILES.steps.read(join(folder, task));
}

/** What its evaluations came to so far. */
export function readEvaluations({ folder }: StoredRun, task: string): LoggedEvaluation[] {
  return TASK_FILES.evaluations.read(join(folder, task));
}

/** The rows that a task's training kept, token by token; undefined where it kept none. Throws UserError where they are damaged. */
export function readInspected({ folder }: StoredRun, task: string): readonly KeptRow[] | undefined {
  return TASK_FILES.inspected.find(join(folder, task));
}

/** Of a task's exported files, by their names in its folder. Throws UserError where one is damaged. */
export function readCertificates({ folder }: StoredRun, task: string): Certificate[] {
  const own = join(folder, task);
  if (!existsSync(own)) return [];
  return readdirSync(own)
    .filter((name) => /^certificate-.+\.json$/.test(name))
    .sort()
    .map((name) => certificateFile(name).read(own));
}
