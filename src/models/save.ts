/** Writing a model that was trained whole as a Hugging Face folder. */

import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fromFloat32, writeCheckpoint, type FloatDtype } from '../files/index.js';
import { writeFileAtomic } from '../util/atomic.js';
import type { CausalLM } from './model.js';

/** What stands beside the weights in a model folder and goes along with them. */
const COMPANIONS =
  /^(generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^tokenizer\.model$|^merges\.txt$|^chat_template\.jinja$/;

const TORCH_NAMES: Readonly<Record<FloatDtype, string>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

export interface SaveOptions {
  readonly dtype?: FloatDtype;
  readonly maxShardSize?: number | string | undefined;
  /** Where the tokenizer's files are copied from. */
  readonly companionsOf?: string;
}

/** Weights (f32 on the device, or of the type that is written), config.json and, where asked, the tokenizer. */
export async function saveModel(model: CausalLM, folder: string, options: SaveOptions = {}): Promise<void> {
  const { dtype = 'F32', maxShardSize, companionsOf } = options;
  mkdirSync(folder, { recursive: true });
  if (companionsOf !== undefined) copyCompanions(companionsOf, folder);
  writeConfig(folder, model.sourceConfig, dtype);
  const tensors = model.parameters.map((p) => ({
    name: p.name,
    dtype,
    shape: p.value.shape,
    data: async () =>
      dtype === 'BF16' && p.value.dtype === 'bf16'
        ? model.backend.download(p.value)
        : fromFloat32(dtype, await p.value.toFloat32()),
  }));
  await writeCheckpoint(folder, tensors, maxShardSize === undefined ? {} : { maxShardSize });
}

/** config.json for weights of another type: transformers 5 calls the field `dtype`, earlier ones `torch_dtype`. */
export function writeConfig(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  dtype: FloatDtype,
): void {
  const field = 'dtype' in config ? 'dtype' : 'torch_dtype';
  const text = JSON.stringify({ ...config, [field]: TORCH_NAMES[dtype] }, null, 2);
  writeFileAtomic(join(folder, 'config.json'), `${text}\n`);
}

/** Copies the tokenizer's and the generation's files from one model folder to another. */
export function copyCompanions(from: string, to: string): void {
  for (const file of readdirSync(from))
    if (COMPANIONS.test(file)) copyFileSync(join(from, file), join(to, file));
}
