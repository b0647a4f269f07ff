/** The steps of a training, as they come and in sum. */

import type { StepRecord } from '../../train/trainer.js';
import type { TaskResult } from './results.js';

export interface LoggedStep extends StepRecord {
  /** When it ended, in seconds since 1970. */
  readonly time: number;
}

/** What a training took. */
export function summaryOf(steps: readonly LoggedStep[]): NonNullable<TaskResult['training']> {
  return {
    steps: steps.length,
    first_loss: steps[0]?.loss ?? Number.NaN,
    last_loss: steps.at(-1)?.loss ?? Number.NaN,
    tokens: steps.reduce((n, s) => n + s.tokens, 0),
    seconds: steps.reduce((n, s) => n + s.seconds, 0),
  };
}
