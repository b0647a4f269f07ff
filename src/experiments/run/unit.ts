/** A task of a run that is under way: what its stages share, and what stands in its folder already. */

import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import { writeFileAtomic } from '../../util/atomic.js';
import type { ResolvedConfig, ResolvedTask } from '../config/index.js';
import { TaskReports } from '../trackers/reports.js';
import type { DataCache } from '../data/data-cache.js';
import type { RunEvent } from './events.js';
import type { MethodResult, TaskResult } from '../store/results.js';
import { resultSchema } from '../store/schemas.js';
import { readChecked } from '../store/stored.js';
import type { TaskData } from '../data/task-data.js';

/** What all runs of a process share: they are of one base model on one device. */
export interface Shared {
  readonly backend: Backend;
  readonly modelFolder: string;
  readonly tokenizer: Tokenizer;
  readonly cache: DataCache;
  readonly emit: (event: RunEvent) => void;
  readonly signal: AbortSignal;
}

export interface Unit {
  /** The run's number. */
  readonly run: number;
  readonly config: ResolvedConfig;
  readonly settings: ResolvedTask;
  /** The task's part of the run's folder. */
  readonly folder: string;
  readonly data: TaskData;
  /** Who else is told of it. */
  readonly reports: TaskReports;
  readonly methods: MethodResult[];
  training?: TaskResult['training'];
}

/** The result of a task that was done before. Throws UserError where it is damaged. */
export function savedResult(folder: string): TaskResult | undefined {
  const path = join(folder, 'result.json');
  if (!existsSync(path)) return undefined;
  const mend = 'remove it, and it is made again from what stands beside it';
  return readChecked(path, resultSchema, mend) as unknown as TaskResult;
}

export async function startUnit(
  shared: Shared,
  parts: Pick<Unit, 'run' | 'config' | 'settings' | 'folder'>,
): Promise<Unit> {
  const { run, config, settings, folder } = parts;
  mkdirSync(folder, { recursive: true });
  const data = await shared.cache.data(settings, config.seed);
  for (const text of data.notices) shared.emit({ type: 'notice', run, task: settings.name, text });
  return { ...parts, data, reports: new TaskReports(folder, config), methods: [] };
}

/** Writes what the unit came to; its checkpoints are of no use then. */
export function finishUnit({ settings, data, folder, methods, training }: Unit): TaskResult {
  const { validation, overlap } = data;
  const result: TaskResult = {
    task: settings.name,
    kind: settings.settings.task,
    metric: data.task.metric,
    ...('rouge_tokenizer' in settings.settings && { rouge_tokenizer: settings.settings.rouge_tokenizer }),
    train_rows: data.train.length,
    ...(validation.length > 0 && { validation_rows: validation.length }),
    test_rows: data.test.length,
    overlap,
    methods,
    ...(training && { training }),
  };
  writeFileAtomic(join(folder, 'result.json'), JSON.stringify(result, null, 2) + '\n');
  rmSync(join(folder, 'checkpoints'), { recursive: true, force: true });
  return result;
}
