/** Training: the loop, its settings, and the loss of texts that it does not train on. */
export { evaluateLoss, flatten, type FlatBatch } from '../train/step.js';
export {
  totalSteps,
  train,
  type StepRecord,
  type TrainingArguments,
  type TrainOptions,
  type TrainResult,
} from '../train/trainer.js';
