/** GGUF, llama.cpp's files: metadata and tensors in one. */
export { GgufFile } from './reader.js';
export { TENSOR_TYPES, type GgufValue, type TensorType } from './types.js';
export { writeGguf, type GgufTensor } from './writer.js';
