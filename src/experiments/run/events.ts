/** What a run reports while it goes on: from the process that computes to the one that shows it. */

import type { StepRecord } from '../../train/trainer.js';
import type { TaskResult } from './results.js';

/** What a task is doing: one of its baselines, training, or answering with what was trained. */
export type Stage = 'zero_shot' | 'few_shot' | 'train' | 'tuned';

export type RunEvent =
  /** The run's folder is known; `finished`: all of it was done before. `tuning`: what tables call the tuned model. */
  | { readonly type: 'run'; readonly folder: string; readonly finished: boolean; readonly tuning: string }
  /** Something a person should know: rows left out, texts shortened, where it resumes. */
  | { readonly type: 'notice'; readonly task?: string; readonly text: string }
  | {
      readonly type: 'stage';
      readonly task: string;
      readonly stage: Stage;
      readonly total: number;
      readonly done: number;
    }
  | { readonly type: 'step'; readonly task: string; readonly record: StepRecord }
  | {
      readonly type: 'answers';
      readonly task: string;
      readonly stage: Stage;
      readonly done: number;
      readonly total: number;
    }
  | { readonly type: 'result'; readonly task: string; readonly result: TaskResult }
  /** The last event of a run that was not killed. */
  | { readonly type: 'end'; readonly outcome: 'finished' | 'stopped' }
  | { readonly type: 'failed'; readonly message: string; readonly stack?: string | undefined };
