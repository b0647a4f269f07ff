/** Whole runs and studies: their configuration, their process, what they leave, reports, checks, benchmarks, golden folders. */
export {
  benchGeneration,
  benchTraining,
  type GenerateFigures,
  type TrainFigures,
} from '../experiments/bench/index.js';
export { benchShape } from '../experiments/bench/shapes.js';
export type { BenchShape } from '../models/family.js';
export type { CheckFigure } from '../experiments/store/check-figures.js';
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
} from '../experiments/config/index.js';
export { describeMachine } from '../experiments/bench/machine.js';
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
} from '../experiments/report/index.js';
export type { RunEvent } from '../experiments/run/events.js';
export type { Prediction } from '../experiments/store/predictions.js';
export { readRecords } from '../experiments/store/records.js';
export { resultsTable, type MethodResult, type TaskResult } from '../experiments/store/results.js';
export { findRunFolders, readRun, type RunState, type StoredRun } from '../experiments/store/stored.js';
export type { Manifest } from '../experiments/store/manifest.js';
export { superviseRun, type RunOrder, type Supervision } from '../experiments/run/supervise.js';
export { readTaskData, type TaskData } from '../experiments/data/task-data.js';
export { describeRow, trainingBlocks } from '../experiments/data/training-blocks.js';
export type { Check } from '../experiments/verify/check.js';
export { verifyFolder } from '../experiments/verify/index.js';
