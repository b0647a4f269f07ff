/** PEFT's adapter folders: adapter_config.json and adapter_model.safetensors, so that either side loads the other's. */

import {
  FLOAT_NAMES,
  fromFloat32,
  toFloat32,
  writeTensors,
  type FloatType,
  type TensorToWrite,
} from '../files/index.js';
import type { CausalLM } from '../models/model.js';
import type { Tensor } from '../tensor/tensor.js';
import { claimFolder, type ClaimOptions } from '../util/claim.js';
import { ADAPTER_WEIGHTS, openAdapter, PEFT_PREFIX } from './file.js';
import type { LoraConfig } from './config.js';
import { kindOf } from './kinds/index.js';
import { createLora, type LoraAdapter } from './lora.js';
import { ADAPTER_CONFIG } from './peft-config.js';
export { readAdapterConfig } from './peft-config.js';
import { uploadTables, type AdapterTables } from './tables.js';

/** Reads an adapter folder onto a model: as `readAdapter`, and attached. */
export function loadAdapter(model: CausalLM, folder: string): LoraAdapter {
  const adapter = readAdapter(model, folder);
  adapter.attach();
  return adapter;
}

/**
 * An adapter folder's pairs for a model, which knows nothing of them until they are attached: to train on from, too, with what `training`
 * says in the place of the folder's. Throws UserError
 * for a folder with anything that Westwind does not do, or that does not fit the model.
 */
export function readAdapter(
  model: CausalLM,
  folder: string,
  training: Partial<Pick<LoraConfig, 'lora_dropout'>> = {},
): LoraAdapter {
  const file = openAdapter(model, folder);
  try {
    const byName = new Map(file.pairs.map((pair) => [pair.name, pair]));
    const { config } = file;
    const chosen = [config.exclude_modules, config.modules_to_save, config.layers_to_transform];
    const target_modules = chosen.some((rule) => rule !== undefined)
      ? [...byName.keys()]
      : config.target_modules;
    return createLora(
      model,
      { ...config, target_modules, ...training },
      {
        modules: file.pairs,
        source: (module, tensor) => file.read(byName.get(module)!.tensors[tensor]!),
        tables: uploadTables(model, file),
      },
    );
  } finally {
    file.close();
  }
}

/**
 * Writes the adapter as PEFT's `save_pretrained` does, whole or not at all. Throws UserError for a folder that holds something
 * already, unless `force` is set.
 */
export async function saveAdapter(
  adapter: LoraAdapter,
  folder: string,
  baseModel: string | null,
  options: ClaimOptions = {},
): Promise<void> {
  const tensors: TensorToWrite[] = [];
  for (const p of adapter.parameters)
    tensors.push(tensorOf(p.name, p.value.shape, await p.value.toFloat32()));
  const { embedding, head } = adapter.tables ?? {};
  for (const [name, table] of [
    [adapter.tableNames.embedding, embedding],
    [adapter.tableNames.head, head],
  ] as const)
    if (table) tensors.push(tensorOf(`${name}.weight`, table.shape, await float32Of(table)));
  const out = claimFolder(folder, options);
  try {
    const weights = out.open(ADAPTER_WEIGHTS);
    await writeTensors(weights, tensors, { format: 'pt' });
    await weights.finish();
    out.remove(ADAPTER_CONFIG, 'before');
    out.write(ADAPTER_CONFIG, JSON.stringify(peftConfig(adapter, baseModel), null, 2) + '\n');
    out.commit();
  } finally {
    out.abort();
  }
}

function tensorOf(name: string, shape: readonly number[], values: Float32Array): TensorToWrite {
  return { name: PEFT_PREFIX + name, dtype: 'F32', shape: [...shape], data: fromFloat32('F32', values) };
}

async function float32Of(table: Tensor): Promise<Float32Array> {
  return toFloat32(FLOAT_NAMES[table.dtype as FloatType], await table.backend.download(table));
}

function peftConfig(
  { config, taskType, tables }: LoraAdapter,
  baseModel: string | null,
): Record<string, unknown> {
  const kept: Partial<AdapterTables> = tables ?? {};
  return {
    alpha_pattern: config.alpha_pattern ?? {},
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: 'none',
    ...(kept.ensure_weight_tying && { ensure_weight_tying: true }),
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.lora_alpha,
    lora_dropout: config.lora_dropout,
    modules_to_save: kept.modules_to_save ?? null,
    peft_type: 'LORA',
    r: config.r,
    rank_pattern: config.rank_pattern ?? {},
    revision: null,
    target_modules: config.target_modules,
    task_type: taskType,
    use_dora: false,
    use_rslora: config.use_rslora,
    ...kindOf(config.kind).peft,
  };
}
