/** Whole runs and studies: their configuration, their process, what they leave, reports, checks, benchmarks, golden folders. */
export { benchGeneration, benchTraining, type GenerateFigures, type TrainFigures } from './bench/index.js';
export { benchShape, type BenchShape } from './bench/shapes.js';
export type { CheckFigure } from './checks/figures.js';
export type { CheckFunction, CheckRow } from './checks/measures.js';
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
} from './config/index.js';
export { describeMachine } from './machine.js';
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
} from './report/index.js';
export type { RunEvent } from './run/events.js';
export type { Prediction } from './run/predictions.js';
export { readRecords } from './run/records.js';
export { resultsTable, type MethodResult, type TaskResult } from './run/results.js';
export { scorePredictions, type Score } from './run/score.js';
export { findRunFolders, readRun, type Manifest, type RunState, type StoredRun } from './run/stored.js';
export { superviseRun, type RunOrder, type Supervision } from './run/supervise.js';
export { describeRow, readTaskData, trainingBlocks, type TaskData } from './run/task-data.js';
export type { Check } from './verify/check.js';
export { verifyFolder } from './verify/index.js';
