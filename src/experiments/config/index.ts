/** The configuration of a run: one YAML or JSON file. */
export { canonicalJson, resultHash, type Fingerprints } from './hash.js';
export { loadConfig, parseConfig, type LoadedConfig } from './load.js';
export type {
  Baseline,
  DataFormat,
  ResolvedCheck,
  ResolvedConfig,
  ResolvedGeneration,
  ResolvedSource,
  ResolvedTask,
  ResolvedTraining,
  Scoring,
} from './resolve.js';
export { configSchema, jsonSchema, type ConfigFile } from './schema.js';
export { starterConfig } from './starter.js';
