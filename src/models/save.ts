/** Writing a model that was trained whole as a Hugging Face folder. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fromFloat32, addCheckpoint, type FloatDtype } from '../files/index.js';
import { formatOf } from '../quant/formats.js';
import { UserError } from '../util/errors.js';
import { readBytes } from '../util/read.js';
import { claimFolder, type ClaimedFolder, type ClaimOptions } from '../util/claim.js';
import { familyOf } from './families/index.js';
import { isTied, type CausalLM } from './model.js';

/** What stands beside the weights in a model folder and goes along with them. */
const COMPANIONS =
  /^(generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^tokenizer\.model$|^merges\.txt$|^chat_template\.jinja$/;

const TORCH_NAMES: Readonly<Record<FloatDtype, string>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

export interface SaveOptions extends Pick<ClaimOptions, 'force'> {
  readonly dtype?: FloatDtype;
  readonly maxShardSize?: number | string | undefined;
  /** Where the tokenizer's files are copied from. */
  readonly companionsOf?: string;
}

/**
 * Weights (f32 on the device, or of the type that is written), config.json and, where asked, the tokenizer: all of them or none. Throws
 * UserError for a folder that holds something already, unless `force` is set, and for a model with 4-bit weights, whose values are not what
 * it was made of.
 */
export async function saveModel(model: CausalLM, folder: string, options: SaveOptions = {}): Promise<void> {
  const { dtype = 'F32', maxShardSize, companionsOf, force } = options;
  for (const { name, weight } of model.linears.values())
    if (weight.kind !== 'dense')
      throw new UserError(
        `${name} is in ${formatOf(weight).bits} bits, which is not written: load the model without quantization, or save its adapter`,
      );
  const config = model.sourceConfig;
  const apart = config['tie_word_embeddings'] === true && !isTied(model);
  const tensors = model.parameters.map((p) => ({
    name: p.name,
    dtype,
    shape: p.value.shape,
    data: async () =>
      dtype === 'BF16' && p.value.dtype === 'bf16'
        ? model.backend.download(p.value)
        : fromFloat32(dtype, await p.value.toFloat32()),
  }));
  const out = claimFolder(folder, { force, inputs: companionsOf === undefined ? [] : [companionsOf] });
  try {
    if (companionsOf !== undefined) copyCompanions(companionsOf, out);
    writeConfig(out, apart ? untied(config) : config, dtype);
    await addCheckpoint(out, tensors, maxShardSize === undefined ? {} : { maxShardSize });
    out.commit();
  } finally {
    out.abort();
  }
}

/** The config.json of the same model with an output head of its own. */
export function untied(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...config, tie_word_embeddings: false, ...familyOf(config).untied(config) };
}

/** config.json, for weights of another type where `dtype` is given: transformers 5 calls the field so, earlier ones `torch_dtype`. */
export function writeConfig(
  out: ClaimedFolder,
  config: Readonly<Record<string, unknown>>,
  dtype: FloatDtype | undefined,
): void {
  const field = 'dtype' in config ? 'dtype' : 'torch_dtype';
  const typed = dtype === undefined ? config : { ...config, [field]: TORCH_NAMES[dtype] };
  out.write('config.json', `${JSON.stringify(typed, null, 2)}\n`);
}

/** Copies the tokenizer's and the generation's files from one model folder to another. */
export function copyCompanions(from: string, to: ClaimedFolder, which = COMPANIONS): void {
  for (const file of readdirSync(from).filter((name) => which.test(name)))
    to.write(file, readBytes(join(from, file)));
}
