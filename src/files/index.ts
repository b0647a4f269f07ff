/** Files that the field agrees on: safetensors, checkpoints of one file or many, and the hub with its cache. */
export {
  addCheckpoint,
  Checkpoint,
  GGUF_WEIGHTS,
  ggufWeights,
  openCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
export {
  bf16ToFloat32,
  f16ToFloat32,
  f16Values,
  float32ToBf16,
  float32ToF16,
  fromFloat32,
  halfBits,
  toFloat32,
  type FloatDtype,
} from './convert.js';
export { DTYPE_BYTES, elementCount, FLOAT_NAMES, type Dtype, type FloatType } from './dtype.js';
export { checkFinite, checkFits } from './finite.js';
export {
  GgufFile,
  TENSOR_TYPES,
  writeGguf,
  type GgufTensor,
  type GgufValue,
  type TensorType,
} from './gguf/index.js';
export { refuseForeignFolder, refuseQuantized, refuseQuantizedTensors } from './foreign.js';
export { quote } from './quote.js';
export { readFault } from '../util/faults.js';
export { resolveDataset, resolveModelFolder, type ModelOptions } from './hub.js';
export { checkSecrets, filesToPush, ggufToPush } from './hub-files.js';
export { checkRepoName, pushFiles, sha256Of, sizeOf, type FileToPush } from './hub-push.js';
export { CARD_FILE, readCard } from './model-card.js';
export { SafetensorsFile } from './safetensors.js';
export { writeSafetensors, writeTensors, type TensorToWrite } from './safetensors-writer.js';
