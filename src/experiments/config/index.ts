/** The configuration of a run: one YAML or JSON file. */
export { canonicalJson, resultHash, type Fingerprints } from './hash.js';
export type { Axis } from './grid.js';
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
export {
  dependsOnSeed,
  inheritedNote,
  isDrawn,
  type Baseline,
  type ResolvedCheck,
  type ResolvedConfig,
  type ResolvedGeneration,
  type LikelihoodNormalization,
  type ResolvedPart,
  type ResolvedSource,
  type ResolvedTask,
  type ResolvedTraining,
  type Scoring,
} from './resolve.js';
export { jsonSchema } from './axes.js';
export { configSchema, type ConfigFile } from './schema.js';
export { labelOf, shortName, shown } from './study.js';
export { starterConfig } from './starter.js';
