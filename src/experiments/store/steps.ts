/** The steps of a training, as they come and in sum. */

import type { EvaluationRecord } from '../../train/evaluations.js';
import type { Standing } from '../../train/halving.js';
import { decide, steeringOf } from '../../train/steering.js';
import type { StepRecord } from '../../train/trainer.js';
import { own } from '../../util/own.js';
import type { ResolvedTraining } from '../config/index.js';
import type { TaskResult } from './results.js';

export interface LoggedStep extends StepRecord {
  /** When it ended, in seconds since 1970. */
  readonly time: number;
}

export interface LoggedEvaluation extends EvaluationRecord {
  /** When it ended, in seconds since 1970. */
  readonly time: number;
}

/** How a trial of a search stood where it was asked whether it goes on. */
export interface LoggedRung extends Standing {
  /** The evaluation that it was asked at, from 1, and the step that this stands behind. */
  readonly evaluation: number;
  readonly step: number;
  readonly metric: string;
  readonly figure: number;
}

/** A figure of an evaluation by its name; NaN where it has none. */
export function figureOf({ loss, metrics }: EvaluationRecord, metric: string): number {
  return own({ loss, ...metrics }, metric) ?? Number.NaN;
}

/** What a training took, and what its evaluations chose. */
export function summaryOf(
  steps: readonly LoggedStep[],
  evaluations: readonly LoggedEvaluation[],
  training: ResolvedTraining,
  rungs: readonly LoggedRung[],
): NonNullable<TaskResult['training']> {
  return {
    steps: steps.length,
    first_loss: steps[0]?.loss ?? Number.NaN,
    last_loss: steps.at(-1)?.loss ?? Number.NaN,
    tokens: steps.reduce((n, s) => n + s.tokens, 0),
    seconds: steps.reduce((n, s) => n + s.seconds, 0),
    ...chosen(steps, evaluations, training),
    ...(rungs.some(({ stop }) => stop) && { stopped_by: 'search' as const }),
  };
}

function chosen(
  steps: readonly LoggedStep[],
  evaluations: readonly LoggedEvaluation[],
  training: ResolvedTraining,
): Partial<NonNullable<TaskResult['training']>> {
  const steering = steeringOf(training);
  if (!steering) return {};
  const { metric_for_best_model } = steering;
  const figures = evaluations.map((one) => ({
    step: one.step,
    figure: figureOf(one, metric_for_best_model),
  }));
  const { best } = decide(steering, figures);
  const last = steps.at(-1);
  return {
    ...(best && { best_step: best.step, best_metric: best.figure }),
    metric_for_best_model,
    stopped_early: last !== undefined && last.step < last.steps,
  };
}
