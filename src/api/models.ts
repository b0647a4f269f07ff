/** Models and adapters: loading, attaching, saving, merging, and the files that they stand in. */
export { attachLora, type LoraAdapter } from '../adapters/lora.js';
export type { LoraConfig } from '../adapters/config.js';
export { mergeAdapter, type MergeOptions } from '../adapters/merge.js';
export { loadAdapter, readAdapter, readAdapterConfig, saveAdapter } from '../adapters/peft.js';
export { targetModules } from '../adapters/targets.js';
export { exportAdapterGguf, exportGguf, type FileType } from '../export/gguf/index.js';
export { openCheckpoint, SafetensorsFile, writeCheckpoint, writeSafetensors } from '../files/index.js';
export { resolveModel } from '../import/resolve.js';
export { architectures } from '../models/families/index.js';
export { loadModel, randomModel } from '../models/load.js';
export type { CausalLM } from '../models/model.js';
export { saveModel } from '../models/save.js';
export type { WeightOptions } from '../models/weights.js';
