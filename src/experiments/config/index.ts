/** The configuration of a run: one YAML or JSON file. */
export { canonicalJson, resultHash, type Fingerprints } from './hash.js';
export {
  loadConfig,
  loadStudy,
  parseConfig,
  parseStudy,
  type ConfigInMemory,
  type LoadedConfig,
  type LoadOptions,
  type Study,
  type StudyRun,
} from './load.js';
export { configPath, modelSettings, presetModels, presetNames } from './presets.js';
export { inheritedNote, type ResolvedConfig } from './resolve.js';
export { jsonSchema, type Axis } from './axes.js';
export { BITLESS, type ConfigFile } from './schema.js';
export { isCheckFile, SCORINGS, type ResolvedCheck, type Scoring } from './settings/answers.js';
export { searchMetric } from './settings/search.js';
export { isDrawn, type ResolvedPart, type ResolvedSource } from './settings/rows.js';
export { dependsOnSeed, type ResolvedTask } from './settings/task.js';
export type { ResolvedTraining } from './settings/tuning.js';
export { labelOf, shortName, shown, trialsBefore } from './study.js';
export { starterConfig } from './starter.js';
