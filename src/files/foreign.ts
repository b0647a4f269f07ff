/**
 * What the world has in the place of weights that Westwind reads: Git LFS pointers, pickles, other programs' formats, quantized
 * checkpoints. Each is told by its name, with the way to weights that are read; nothing of it is ever taken for something else.
 */
import { closeSync, readdirSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../util/errors.js';
import { readFault } from '../util/faults.js';
import { foreignBytes, ORIGINAL } from '../util/foreign.js';
import { openRegular } from '../util/read.js';

/** Throws UserError where one of a folder's files that are read first is a Git LFS pointer, or weights of another kind are all it has. */
export function refuseForeignFolder(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw readFault(folder, error);
  }
  for (const name of names.filter((n) => /\.(json|safetensors|jinja|txt|model)$/.test(n)).sort()) {
    const fault = foreignBytes(firstBytes(join(folder, name)));
    if (fault !== undefined) throw new UserError(`${join(folder, name)}: ${fault}`);
  }
  const fault = foreignFiles(names);
  if (fault !== undefined) throw new UserError(`${folder} ${fault}`);
}

function firstBytes(path: string): Uint8Array {
  const bytes = new Uint8Array(64);
  try {
    const { fd } = openRegular(path);
    try {
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch {
    return bytes; // Whoever wants it says what is wrong.
  }
}

/** Kinds of files by their names, the most telling first. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/^qmodel\.pt$/, 'weights quantized by HQQ (qmodel.pt)'],
  [/^output(-\d+-of-\d+)?\.safetensors$/, 'weights quantized by ExLlama (EXL2, EXL3)'],
  [/^weights(\.\d+)?\.npz$/, 'weights of MLX (.npz)'],
  [
    /^consolidated(-\d+-of-\d+|\.\d+)?\.safetensors$/,
    "weights in Mistral's own layout (consolidated.safetensors)",
  ],
  [
    /^(pytorch_model|adapter_model|consolidated).*\.(bin|pt|pth)(\.index\.json)?$/,
    'pickles (.bin), which can run code',
  ],
  [/\.(pt|pth|ckpt|bin)$/, 'pickles (.pt, .bin), which can run code'],
  [/\.onnx(_data)?$/, 'ONNX files'],
  [/\.h5$|^tf_model/, "TensorFlow's files (.h5)"],
  [/\.msgpack$/, "Flax's files (.msgpack)"],
];

/**
 * What a folder or repository with these files has instead of model.safetensors and its shards, as the rest of a sentence that begins with
 * its name; undefined where those are there, an adapter is, or nothing is known.
 */
export function foreignFiles(paths: readonly string[]): string | undefined {
  const names = paths.map((path) => basename(path));
  if (names.some((n) => /^(model|adapter_model)[\w.-]*\.safetensors(\.index\.json)?$/.test(n)))
    return undefined;
  const gguf = names.find((n) => /\.gguf$/i.test(n));
  if (gguf !== undefined)
    return `has its weights only as GGUF files: name the file itself, such as ${gguf}, where it lies on this machine`;
  const kind = KINDS.find(([pattern]) => names.some((name) => pattern.test(name)));
  return kind && `has its weights only as ${kind[1]}, and that is not read: ${ORIGINAL}`;
}

/** People's names of what transformers calls `quant_method`. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ['gptq', 'GPTQ'],
  ['awq', 'AWQ'],
  ['fp8', 'FP8'],
  ['fbgemm_fp8', 'FP8 (fbgemm)'],
  ['compressed-tensors', 'compressed-tensors (FP8 or integers)'],
  ['hqq', 'HQQ'],
  ['exl2', 'ExLlama (EXL2)'],
  ['exl3', 'ExLlama (EXL3)'],
  ['mxfp4', 'MXFP4'],
]);

/** Throws UserError where config.json says that the weights are quantized in a way other than bitsandbytes' four bits. */
export function refuseQuantized(config: Readonly<Record<string, unknown>>, path: string): void {
  const refuse = (field: string, how: string): UserError =>
    new UserError(`${path}: ${field}: the weights are quantized by ${how}, which is not read: ${ORIGINAL}`);
  // MLX writes `quantization`, newer ones the same as `quantization_config` besides.
  for (const field of ['quantization', 'quantization_config', 'compression_config']) {
    const given = config[field];
    if (typeof given !== 'object' || given === null) continue;
    const { quant_method: method, load_in_8bit, bits, group_size } = given as Record<string, unknown>;
    if (method === 'bitsandbytes' || (method === undefined && 'load_in_8bit' in given)) {
      if (load_in_8bit === true) throw refuse(field, 'bitsandbytes to int8 (LLM.int8)');
      continue;
    }
    if (typeof method === 'string') throw refuse(field, METHODS.get(method) ?? JSON.stringify(method));
    if (field === 'compression_config') throw refuse(field, 'compressed-tensors (FP8 or integers)');
    if (bits !== undefined && group_size !== undefined) throw refuse(field, 'MLX');
  }
}

/** Tensors that only quantized weights have, for folders whose config.json does not say it. */
const QUANTIZED: readonly (readonly [RegExp, string])[] = [
  [/\.(qweight|qzeros|g_idx)$/, 'GPTQ or AWQ'],
  [/\.(q_weight|q_scale|q_perm|trellis)$/, 'ExLlama (EXL2, EXL3)'],
  [/\.SCB$/, 'bitsandbytes to int8 (LLM.int8)'],
  [/\.W_q$/, 'HQQ'],
  [/\.(weight_scale|weight_scale_inv|weight_packed|input_scale)$/, 'compressed-tensors or FP8'],
  [/\.scales$/, 'MLX'],
];

/** Throws UserError for tensors of a quantization that is not read. */
export function refuseQuantizedTensors(names: readonly string[], folder: string): void {
  for (const [pattern, how] of QUANTIZED) {
    const found = names.find((name) => pattern.test(name));
    if (found !== undefined)
      throw new UserError(
        `${folder}: tensor '${found}': the weights are quantized by ${how}, which is not read: ${ORIGINAL}`,
      );
  }
}
