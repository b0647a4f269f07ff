/** A task of a run that is under way: what its stages share, and what stands in its folder already. */

import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import { metricOptions } from '../../tasks/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import type { ResolvedConfig, ResolvedTask } from '../config/index.js';
import type { Reports } from './reports.js';
import type { DataCache } from '../data/data-cache.js';
import type { RunEvent } from './events.js';
import type { MethodResult, TaskResult } from '../store/results.js';
import type { TaskData } from '../data/task-data.js';
import { noticesOf } from '../data/training-blocks.js';
import { TASK_FILES } from '../store/layout.js';

/** What all runs of a process share: they are of one base model on one device. */
export interface Shared {
  readonly backend: Backend;
  readonly modelFolder: string;
  readonly tokenizer: Tokenizer;
  readonly cache: DataCache;
  readonly emit: (event: RunEvent) => void;
  readonly reports: Reports;
  readonly signal: AbortSignal;
}

export interface Unit {
  /** The run's number. */
  readonly run: number;
  readonly config: ResolvedConfig;
  readonly settings: ResolvedTask;
  /** The task's part of the run's folder. */
  readonly folder: string;
  /** Where the trials stand that may stop it, each its task's folder; of a run that is no trial there are none. */
  readonly rivals: readonly string[];
  readonly data: TaskData;
  readonly methods: MethodResult[];
  training?: TaskResult['training'];
}

/** The result of a task that was done before. Throws UserError where it is damaged. */
export function savedResult(folder: string): TaskResult | undefined {
  return TASK_FILES.result.find(folder, 'remove it, and it is made again from what stands beside it');
}

export async function startUnit(
  shared: Shared,
  parts: Pick<Unit, 'run' | 'config' | 'settings' | 'folder' | 'rivals'>,
): Promise<Unit> {
  const { run, config, settings, folder } = parts;
  mkdirSync(folder, { recursive: true });
  const data = await shared.cache.data(settings, config.seed);
  tellRecorded(shared, parts);
  for (const text of noticesOf(data, shared.tokenizer))
    shared.emit({ type: 'notice', run, task: settings.name, text });
  return { ...parts, data, methods: [] };
}

/** Trackers are told that something was recorded of a unit. */
export function tellRecorded(
  { reports }: Shared,
  { config, folder, settings }: Pick<Unit, 'config' | 'folder' | 'settings'>,
): void {
  reports.see(config, dirname(folder), settings.name);
}

/** Writes what the unit came to; its checkpoints are of no use then. */
export function finishUnit({ settings, data, folder, methods, training }: Unit): TaskResult {
  const { validation, overlap } = data;
  const result: TaskResult = {
    task: settings.name,
    kind: settings.settings.task,
    metric: data.task.metric,
    ...metricOptions(settings.settings),
    train_rows: data.train.length,
    ...(validation.length > 0 && { validation_rows: validation.length }),
    test_rows: data.test.length,
    overlap,
    methods,
    ...(training && { training }),
  };
  TASK_FILES.result.write(folder, result);
  rmSync(join(folder, TASK_FILES.checkpoints), { recursive: true, force: true });
  return result;
}
