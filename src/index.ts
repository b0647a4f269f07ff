/** Westwind's typed API: what the command `westwind` is made of. */

export type { LoraConfig } from './adapters/config.js';
export { attachLora, type LoraAdapter } from './adapters/lora.js';
export { targetModules } from './adapters/targets.js';
export { mergeAdapter, type MergeOptions } from './adapters/merge.js';
export { loadAdapter, readAdapter, readAdapterConfig, saveAdapter } from './adapters/peft.js';
export type { Backend, DeviceName, MemoryUse } from './backends/contract.js';
export { createBackend } from './backends/select.js';
export * from './data/index.js';
export * from './eval/index.js';
export type { CheckFigure } from './experiments/store/check-figures.js';
export type { CheckFunction, CheckRow } from './eval/measures.js';
export {
  jsonSchema,
  loadConfig,
  parseConfig,
  starterConfig,
  type ConfigFile,
  type ConfigInMemory,
  type LoadedConfig,
  type ResolvedConfig,
  type ResolvedTask,
} from './experiments/config/index.js';
export {
  benchGeneration,
  benchTraining,
  type GenerateFigures,
  type TrainFigures,
} from './experiments/bench/index.js';
export { benchShape } from './experiments/bench/shapes.js';
export { describeMachine } from './experiments/bench/machine.js';
export {
  makeReport,
  readRuns,
  readTestTexts,
  writeReport,
  type DamagedRun,
  type FoundRuns,
  type PublishedChoice,
  type PublishedName,
  type ReportFiles,
  type ReportOptions,
  type TestTexts,
} from './experiments/report/index.js';
export type { RunEvent } from './experiments/run/events.js';
export type { Prediction } from './experiments/store/predictions.js';
export { readRecords } from './experiments/store/records.js';
export { resultsTable, type MethodResult, type TaskResult } from './experiments/store/results.js';
export { scorePredictions, type Score } from './eval/score.js';
export {
  findRunFolders,
  readRun,
  type Manifest,
  type RunState,
  type StoredRun,
} from './experiments/store/stored.js';
export { superviseRun, type RunOrder, type Supervision } from './experiments/run/supervise.js';
export { describeRow, readTaskData, trainingBlocks, type TaskData } from './experiments/data/task-data.js';
export { verifyFolder } from './experiments/verify/index.js';
export type { Check } from './experiments/verify/check.js';
export {
  openCheckpoint,
  resolveDataset,
  resolveModel,
  SafetensorsFile,
  writeCheckpoint,
  writeSafetensors,
} from './files/index.js';
export { generate, type GenerateOptions } from './generate/generate.js';
export { commonPrefix, type Prompt } from './generate/prompts.js';
export type { SamplingOptions } from './generate/sampler.js';
export { scoreContinuations, type Scores } from './generate/score.js';
export { Session, type Answer, type Request, type SessionOptions } from './generate/session.js';
export { stopTokens } from './generate/stop-tokens.js';
export { architectures } from './models/families/index.js';
export type { BenchShape } from './models/family.js';
export { loadModel, randomModel } from './models/load.js';
export type { CausalLM } from './models/model.js';
export { saveModel } from './models/save.js';
export type { WeightOptions } from './models/weights.js';
export * from './tasks/index.js';
export { TextStream, Tokenizer, type ChatMessage } from './tokenizer/index.js';
export { evaluateLoss, flatten, type FlatBatch } from './train/step.js';
export { totalSteps, type TrainingArguments } from './train/arguments.js';
export { train, type StepRecord, type TrainOptions, type TrainResult } from './train/trainer.js';
export { UserError } from './util/errors.js';
