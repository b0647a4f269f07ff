/** What runs report while they go on: from the process that computes to the one that shows it. */

import type { Method } from '../../tasks/index.js';
import type { EvaluationRecord } from '../../train/evaluations.js';
import type { StepRecord } from '../../train/trainer.js';
import type { RunForecast } from '../plan/index.js';
import type { TaskResult } from '../store/results.js';

/** What a task is doing: one of its baselines, training, or answering with what was trained. */
export type Stage = Method | 'train';

/** `run`: the number of the run, from 0, among those that the process was given. */
export type RunEvent =
  /** The run's folder is known; `finished`: all of it was done before. `tuning`: what tables call the tuned model. */
  | {
      readonly type: 'run';
      readonly run: number;
      readonly folder: string;
      readonly finished: boolean;
      readonly tuning: string;
    }
  /** Something a person should know: rows left out, texts shortened, where it resumes. */
  | { readonly type: 'notice'; readonly run?: number; readonly task?: string; readonly text: string }
  /** Training texts of a large data set, which become tokens. */
  | { readonly type: 'encoding'; readonly task: string; readonly done: number; readonly total: number }
  | {
      readonly type: 'stage';
      readonly run: number;
      readonly task: string;
      readonly stage: Stage;
      readonly total: number;
      readonly done: number;
    }
  | { readonly type: 'step'; readonly run: number; readonly task: string; readonly record: StepRecord }
  /** Behind the step of its number, when that was told. */
  | {
      readonly type: 'evaluation';
      readonly run: number;
      readonly task: string;
      readonly record: EvaluationRecord;
    }
  | {
      readonly type: 'answers';
      readonly run: number;
      readonly task: string;
      readonly stage: Stage;
      readonly done: number;
      readonly total: number;
    }
  | { readonly type: 'result'; readonly run: number; readonly task: string; readonly result: TaskResult }
  /** A run of a study ended by a fault, which stands in its folder; the others go on. */
  | { readonly type: 'fault'; readonly run: number; readonly message: string }
  /** What was asked for in place of the work: each run's memory and time. */
  | {
      readonly type: 'plan';
      readonly device: string;
      /** Bytes of memory that there are. */
      readonly room: number;
      readonly plans: readonly RunForecast[];
    }
  /** The last event of a process that was not killed. */
  | { readonly type: 'end'; readonly outcome: 'finished' | 'stopped' }
  | { readonly type: 'failed'; readonly message: string; readonly stack?: string | undefined };
