/**
 * What most programs take, from a configuration or a table to a tuned model's answers. What else is public stands in the
 * subpaths, a file each of src/api: westwind/models, /generate, /train, /data, /tasks, /eval, /experiments.
 */
export { createBackend } from './backends/select.js';
export type { Backend } from './backends/contract.js';
export { packIsolated, readTable, selectColumns } from './api/data.js';
export type { CheckFunction, CheckRow } from './api/eval.js';
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
} from './api/experiments.js';
export { resolveDataset } from './files/index.js';
export {
  generate,
  scoreContinuations,
  stopTokens,
  type Answer,
  type GenerateOptions,
} from './api/generate.js';
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
} from './api/models.js';
export { createTask, parseAnswer, promptsLater, toSample, trainingExamples } from './api/tasks.js';
export { TextStream, Tokenizer, type ChatMessage } from './tokenizer/index.js';
export { evaluateLoss, train, type TrainingArguments } from './api/train.js';
export { UserError } from './util/errors.js';
