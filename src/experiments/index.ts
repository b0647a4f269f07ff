/** Whole runs and studies: their configuration, their process, what they leave, reports, checks, benchmarks, golden folders. */
export { benchGeneration, benchTraining, type GenerateFigures, type TrainFigures } from './bench/index.js';
export { benchShape, type BenchShape } from './bench/shapes.js';
export type { CheckFigure } from './store/check-figures.js';
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
export { describeMachine } from './bench/machine.js';
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
export type { Prediction } from './store/predictions.js';
export { readRecords } from './store/records.js';
export { resultsTable, type MethodResult, type TaskResult } from './store/results.js';
export { findRunFolders, readRun, type Manifest, type RunState, type StoredRun } from './store/stored.js';
export { superviseRun, type RunOrder, type Supervision } from './run/supervise.js';
export { describeRow, readTaskData, trainingBlocks, type TaskData } from './data/task-data.js';
export type { Check } from './verify/check.js';
export { verifyFolder } from './verify/index.js';
