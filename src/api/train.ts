/** Training: the loop, its settings, what it minimizes, and the loss of texts that it does not train on. */
export { totalSteps, trainingArguments, type TrainingArguments } from '../train/arguments.js';
export type { EvaluationRecord } from '../train/evaluations.js';
export { flatten, type FlatBatch } from '../train/batch.js';
export {
  CROSS_ENTROPY,
  type Objective,
  type ObjectiveLoss,
  type ObjectiveRows,
  type PrepareOptions,
} from '../train/objective.js';
export { evaluateLoss } from '../train/step.js';
export { train, type StepRecord, type TrainOptions, type TrainResult } from '../train/trainer.js';
