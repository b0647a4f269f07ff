/** Training: the loop, its settings, and the loss of texts that it does not train on. */
export { totalSteps, trainingArguments, type TrainingArguments } from '../train/arguments.js';
export { flatten, type FlatBatch } from '../train/batch.js';
export { evaluateLoss } from '../train/step.js';
export { train, type StepRecord, type TrainOptions, type TrainResult } from '../train/trainer.js';
