/** PEFT's adapter_config.json: what of it Westwind does, and the names of what it does not. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseFields, readModelJson } from '../models/config.js';
import { UserError } from '../util/errors.js';
import { isKindSwitch, kindOfSwitches, type AdapterKindName } from './kinds/index.js';

export const ADAPTER_CONFIG = 'adapter_config.json';

const rank = z.int().positive().max(65536);
const names = z.array(z.string());

const configSchema = z.object({
  peft_type: z.literal('LORA'),
  r: rank,
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).max(0.99).default(0),
  use_rslora: z.boolean().default(false),
  target_modules: z.union([names.min(1), z.string().min(1)]),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  base_model_name_or_path: z.string().nullish(),
  bias: z.literal('none').default('none'),
  /** Where they are the embedding or the output head, whose tables the adapter then brings. */
  modules_to_save: names.optional(),
  layers_to_transform: z.union([z.array(z.int()), z.int()]).optional(),
  layers_pattern: z.union([names, z.string()]).optional(),
  exclude_modules: z.union([names, z.string()]).optional(),
  /** A table of the embedding is the tied head's, too. */
  ensure_weight_tying: z.boolean().default(false),
  /** How it began. The others change the base's weights, which plain LoRA over the base as it is would not undo. */
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).optional(),
  /** Of layers whose weights are [in, out]; all that Westwind has are Linear, for which PEFT takes it as false, too. */
  fan_in_fan_out: z.boolean().default(false),
});

export interface PeftConfig extends z.infer<typeof configSchema> {
  /** Where it is not LoRA itself. */
  readonly kind?: AdapterKindName;
}

/** Fields that make another computation of LoRA, and what it is called. */
const VARIANTS: ReadonlyMap<string, string> = new Map([
  ['use_dora', 'DoRA'],
  ['lora_bias', 'a bias of B'],
  ['use_qalora', 'QALoRA'],
  ['use_bdlora', 'BD-LoRA'],
  ['kasa_config', 'KaSA'],
  ['velora_config', 'VeLoRA'],
  ['monteclora_config', 'MonteCLoRA'],
  ['arrow_config', 'Arrow'],
  ['alora_invocation_tokens', 'aLoRA'],
  ['trainable_token_indices', 'training of single rows of the embedding'],
  ['target_parameters', 'LoRA on parameters that are no Linear'],
  ['layer_replication', 'replication of layers'],
  ['megatron_config', 'LoRA on layers of Megatron'],
]);

const DONE =
  'Westwind has LoRA and rsLoRA on Linear layers, and whole tables of the embedding and the output head';

/** The configuration of an adapter folder. Throws UserError for what cannot be loaded. */
export function readAdapterConfig(folder: string): PeftConfig {
  const path = join(folder, ADAPTER_CONFIG);
  if (!existsSync(path))
    throw new UserError(`${folder} holds no ${ADAPTER_CONFIG}; an adapter folder as PEFT writes it has one`);
  // An empty list, or nothing, is as if the field were not there: so PEFT takes it.
  const json = new Map(Object.entries(readModelJson(path)).filter(([, value]) => !isNone(value)));
  const refuse = (field: string, why: string): UserError =>
    new UserError(`${path}: ${field}: ${shown(json.get(field))} ${why}`);
  const type = json.get('peft_type');
  if (type === undefined && (json.has('lora_parameters') || json.has('fine_tune_type')))
    throw new UserError(`${path} is of an adapter of mlx-lm, which is not read: convert it to PEFT's format`);
  if (type !== 'LORA') throw refuse('peft_type', `is not supported; ${DONE}`);
  for (const [field, value] of json) {
    const variant =
      VARIANTS.get(field) ?? (/^use_/.test(field) && field !== 'use_rslora' ? 'a variant' : undefined);
    if (variant !== undefined && value !== false && !isKindSwitch(field, value))
      throw refuse(field, `is ${variant}, which is not supported; ${DONE}`);
  }
  const bias = json.get('bias') ?? 'none';
  if (bias !== 'none') throw refuse('bias', `asks for trained biases, which are not supported; ${DONE}`);
  const start = json.get('init_lora_weights');
  if (!configSchema.shape.init_lora_weights.safeParse(start).success)
    throw refuse(
      'init_lora_weights',
      "changes the base's weights or LoRA itself, which is not supported; PEFT's save_pretrained can convert such adapters to plain LoRA",
    );
  const kind = kindOfSwitches(json);
  return { ...parseFields(configSchema, Object.fromEntries(json), path), ...(kind && { kind }) };
}

function isNone(value: unknown): boolean {
  if (typeof value !== 'object') return value === undefined;
  return value === null || Object.keys(value).length === 0;
}

/** A value on one line. */
function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
