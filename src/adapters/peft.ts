/**
 * PEFT's adapter folders: adapter_config.json and adapter_model.safetensors, read and written so that either side loads the other's.
 * What PEFT can express and Westwind does not do (DoRA, trained biases, whole saved modules) is refused, never ignored.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { checkFinite, SafetensorsFile, writeSafetensors } from '../files/index.js';
import { parseConfig } from '../models/config.js';
import { readJson } from '../models/load.js';
import type { CausalLM } from '../models/model.js';
import { writeFileAtomic } from '../util/atomic.js';
import { UserError } from '../util/errors.js';
import { attachLora, type LoraAdapter } from './lora.js';

const CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** What PEFT puts before a module's name. */
export const PEFT_PREFIX = 'base_model.model.';

const off = z.literal(false).nullish();
const configSchema = z.object({
  peft_type: z.literal('LORA'),
  r: z.int().positive().max(65536),
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).max(0.99).default(0),
  use_rslora: z.boolean().default(false),
  target_modules: z.union([z.array(z.string()).min(1), z.string()]),
  rank_pattern: z.record(z.string(), z.int().positive().max(65536)).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  base_model_name_or_path: z.string().nullish(),
  bias: z.literal('none').default('none'),
  modules_to_save: z.null().optional(),
  layers_to_transform: z.null().optional(),
  exclude_modules: z.null().optional(),
  trainable_token_indices: z.null().optional(),
  target_parameters: z.null().optional(),
  layer_replication: z.null().optional(),
  /** The others change the base's weights, which plain LoRA over the base as it is would not undo. */
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).nullish(),
  alora_invocation_tokens: z.null().optional(),
  use_dora: off,
  use_qalora: off,
  use_bdlora: z.union([z.literal(false), z.null()]).optional(),
  lora_bias: off,
  fan_in_fan_out: off,
});

export type PeftConfig = z.infer<typeof configSchema>;

/** The configuration of an adapter folder. Throws UserError for what cannot be loaded. */
export function readAdapterConfig(folder: string): PeftConfig {
  const path = join(folder, CONFIG);
  if (!existsSync(path))
    throw new UserError(`${folder} holds no ${CONFIG}; an adapter folder as PEFT writes it has one`);
  return parseConfig(configSchema, readJson(path), path);
}

const LORA_TENSOR = /^base_model\.model\..+\.lora_[AB]\.weight$/;
/** PEFT saves the base's embedding and head along where one of them is a target. */
const SAVED_BASE =
  /\.(embed_tokens|embed_in|word_embeddings|shared|lm_head|embed_out)(\.base_layer)?\.weight$/;

/** Throws UserError for a tensor that LoRA on Linear layers does not have: to leave it out would be another model. */
export function refuseForeign(path: string, names: readonly string[]): void {
  const foreign = names.find((name) => !LORA_TENSOR.test(name) && !SAVED_BASE.test(name));
  if (foreign !== undefined) {
    throw new UserError(
      `${path}: tensor '${foreign}' is none of LoRA on a Linear layer, as Westwind has it; such an adapter is not supported`,
    );
  }
}

/** Reads an adapter folder onto a model. */
export function loadAdapter(model: CausalLM, folder: string): LoraAdapter {
  const config = readAdapterConfig(folder);
  const path = join(folder, ADAPTER_WEIGHTS);
  const file = SafetensorsFile.open(path);
  const unread = new Set(file.names.filter((name) => LORA_TENSOR.test(name)));
  try {
    refuseForeign(path, file.names);
    const read = (name: string, shape: readonly [number, number]): Float32Array => {
      unread.delete(name);
      if (!file.has(name))
        throw new UserError(`${path}: tensor '${name}' is missing, which ${CONFIG} asks for`);
      const tensor = file.readFloat32(name);
      if (tensor.length !== shape[0] * shape[1]) {
        const found = file.info(name).shape.join(', ');
        throw new UserError(
          `${path}: tensor '${name}' has shape [${found}], but the model and ${CONFIG} ask for [${shape.join(', ')}]`,
        );
      }
      checkFinite(path, name, 'F32', file.info(name).shape, bytesOf(tensor));
      return tensor;
    };
    const adapter = attachLora(model, config, {
      source: (module, r, inFeatures, outFeatures) => ({
        a: read(`${PEFT_PREFIX}${module}.lora_A.weight`, [r, inFeatures]),
        b: read(`${PEFT_PREFIX}${module}.lora_B.weight`, [outFeatures, r]),
      }),
    });
    const [left] = unread;
    if (left !== undefined)
      throw new UserError(
        `${path}: tensor '${left}' is of a module that ${CONFIG} or the model does not have`,
      );
    return adapter;
  } finally {
    file.close();
  }
}

/** Writes the adapter as PEFT's `save_pretrained` does; each file whole or not at all. */
export async function saveAdapter(
  adapter: LoraAdapter,
  folder: string,
  baseModel: string | null,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const tensors = [];
  for (const p of adapter.parameters) {
    const values = await p.value.toFloat32();
    tensors.push({
      name: PEFT_PREFIX + p.name,
      dtype: 'F32' as const,
      shape: [...p.value.shape],
      data: bytesOf(values),
    });
  }
  writeSafetensors(join(folder, ADAPTER_WEIGHTS), tensors, { format: 'pt' });
  writeFileAtomic(join(folder, CONFIG), JSON.stringify(peftConfig(adapter, baseModel), null, 2) + '\n');
}

function peftConfig({ config, taskType }: LoraAdapter, baseModel: string | null): Record<string, unknown> {
  return {
    alpha_pattern: config.alpha_pattern ?? {},
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.lora_alpha,
    lora_dropout: config.lora_dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.r,
    rank_pattern: config.rank_pattern ?? {},
    revision: null,
    target_modules: config.target_modules,
    task_type: taskType,
    use_dora: false,
    use_rslora: config.use_rslora,
  };
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
