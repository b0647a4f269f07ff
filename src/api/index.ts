/**
 * What most programs take, from a configuration or a table to a tuned model's answers. What else is public stands in the
 * subpaths, a file each beside this one: westwind/models, /generate, /train, /data, /tasks, /eval, /experiments.
 */
export { createBackend } from '../backends/select.js';
export type { Backend } from '../backends/contract.js';
export { packIsolated, readTable, selectColumns } from './data.js';
export type { CheckFunction, CheckRow } from './eval.js';
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
} from './experiments.js';
export { resolveDataset } from '../files/index.js';
export { generate, scoreContinuations, stopTokens, type Answer, type GenerateOptions } from './generate.js';
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
} from './models.js';
export { createTask, parseAnswer, promptsLater, toSample, trainingExamples } from './tasks.js';
export { TextStream, Tokenizer, type ChatMessage } from '../tokenizer/index.js';
export { evaluateLoss, train, type TrainingArguments } from './train.js';
export { UserError } from '../util/errors.js';
