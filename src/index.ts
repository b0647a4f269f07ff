/**
 * What most programs take, from a configuration or a table to a tuned model's answers. All else that is public stands in the subpaths, each
 * the index.ts of the folder of its name: westwind/models, /generate, /train, /data, /tasks, /eval, /experiments.
 */
export { createBackend } from './backends/select.js';
export type { Backend } from './backends/contract.js';
export { packIsolated, readTable, selectColumns } from './data/index.js';
export type { CheckFunction, CheckRow } from './eval/index.js';
export {
  loadConfig,
  makeReport,
  parseConfig,
  readRuns,
  readTestTexts,
  superviseRun,
  writeReport,
  type RunEvent,
  type RunOrder,
  type Supervision,
} from './experiments/index.js';
export { resolveDataset } from './files/index.js';
export {
  generate,
  scoreContinuations,
  stopTokens,
  type Answer,
  type GenerateOptions,
} from './generate/index.js';
export {
  attachLora,
  loadAdapter,
  loadModel,
  mergeAdapter,
  resolveModel,
  saveAdapter,
  saveModel,
  type CausalLM,
  type LoraAdapter,
  type LoraConfig,
} from './models/index.js';
export { createTask, parseAnswer, promptsLater, toSample, trainingExamples } from './tasks/index.js';
export { TextStream, Tokenizer, type ChatMessage } from './tokenizer/index.js';
export { evaluateLoss, train, type TrainingArguments } from './train/index.js';
export { UserError } from './util/errors.js';
