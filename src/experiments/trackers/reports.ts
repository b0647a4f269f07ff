/**
 * What others are told of a task while it goes on, as `report_to` asks: TensorBoard by an event file. Its source are the run's own
 * records, so that what a kill or another configuration left out is told at the next start.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StepRecord } from '../../train/trainer.js';
import type { ResolvedConfig } from '../config/index.js';
import { readRecords } from '../store/records.js';
import type { MethodResult } from '../store/results.js';
import { stepSchema } from '../store/schemas.js';
import { EventFile, type Scalars } from './tfevents.js';

/** A line of train.jsonl. */
export interface LoggedStep extends StepRecord {
  /** When it ended, in seconds since 1970. */
  readonly time: number;
}

/** The step's figures by the names that transformers gives them. */
export function stepScalars(record: StepRecord): Scalars {
  return {
    'train/loss': record.loss,
    'train/grad_norm': record.grad_norm,
    'train/learning_rate': record.learning_rate,
    'train/epoch': record.epoch,
    'train/tokens_per_second': record.tokens / record.seconds,
  };
}

/** A method's figures: those of the tuned model are transformers' eval. */
export function evalScalars({ method, metrics, checks = {} }: MethodResult): Scalars {
  const group = method === 'tuned' ? 'eval' : `eval_${method}`;
  const figures = Object.entries(metrics);
  const checked = Object.entries(checks).map(([name, { mean }]) => [`check_${name}`, mean] as const);
  return Object.fromEntries([...figures, ...checked].map(([name, mean]) => [`${group}/${name}`, mean]));
}

export class TaskReports {
  private readonly events: EventFile | undefined;
  private lastStep = 0;

  /** `folder`: the task's part of the run's folder. */
  constructor(folder: string, { report_to }: Pick<ResolvedConfig, 'report_to'>) {
    mkdirSync(folder, { recursive: true });
    if (report_to.includes('tensorboard')) this.events = new EventFile(join(folder, EVENTS));
    for (const record of readRecords<LoggedStep>(join(folder, 'train.jsonl'), stepSchema)) this.step(record);
  }

  /** A step that stands in train.jsonl. */
  step(record: LoggedStep): void {
    this.lastStep = record.step;
    this.events?.append({ wallTime: record.time, step: record.step, scalars: stepScalars(record) });
  }

  /** What a method scored. */
  answered(result: MethodResult): void {
    const step = result.method === 'tuned' ? this.lastStep : 0;
    this.events?.append({ wallTime: Date.now() / 1000, step, scalars: evalScalars(result) });
  }
}

/** TensorBoard takes every file that has `tfevents` in its name. */
export const EVENTS = 'events.out.tfevents.westwind';
