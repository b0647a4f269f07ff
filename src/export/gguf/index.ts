/** Models and adapters as GGUF files, for llama.cpp and what is built over it. */
export { exportAdapterGguf } from './adapter.js';
export { FILE_TYPES, type FileType } from './file-types.js';
export { exportGguf } from './model.js';
export { checkFree, type Exported, type GgufExport } from './options.js';
