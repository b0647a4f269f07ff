/** The model that is talked to: the options that choose it and how it answers, and what is loaded for them. */

import { join } from 'node:path';
import type { Command } from 'commander';
import { isAdapterFolder } from '../adapters/merge.js';
import { loadAdapter, readAdapterConfig } from '../adapters/peft.js';
import { resolveModel } from '../import/resolve.js';
import type { SamplingOptions } from '../generate/sampler.js';
import { tokenizerOf } from '../generate/tokenizer-of.js';
import { loadModel } from '../models/load.js';
import type { CausalLM } from '../models/model.js';
import type { Tokenizer } from '../tokenizer/index.js';
import { UserError } from '../util/errors.js';
import {
  deviceOptions,
  nonNegative,
  nonNegativeInteger,
  openBackend,
  positiveInteger,
  type DeviceFlags,
} from './device.js';

export interface ModelFlags extends DeviceFlags {
  readonly adapter?: string;
  readonly revision?: string;
  readonly loadIn4bit?: boolean;
}

export interface SamplingFlags {
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: number;
}

export function modelOptions(command: Command): Command {
  return deviceOptions(command)
    .argument(
      '<model>',
      'a model or an adapter that names its base model: a folder, or a name on the hub; or a GGUF file',
    )
    .option('-a, --adapter <dir>', 'a LoRA adapter in PEFT format')
    .option('--revision <name>', "a branch, tag or commit of the hub's model")
    .option('--load-in-4bit', 'quantize the weights to NF4 on loading');
}

export function samplingOptions(command: Command, newTokens: number): Command {
  return command
    .option('-n, --max-new-tokens <n>', 'the longest answer', positiveInteger, newTokens)
    .option('-t, --temperature <x>', '0 takes the likeliest token', nonNegative, 0)
    .option('--top-p <x>', 'draw from the likeliest tokens that make up this probability', nonNegative, 1)
    .option('--top-k <n>', 'draw from so many likeliest tokens; 0: all', nonNegativeInteger, 0)
    .option('--seed <n>', 'for draws', nonNegativeInteger, 0);
}

export function samplingOf({ temperature, topP, topK, seed }: SamplingFlags): SamplingOptions {
  return { do_sample: temperature > 0, temperature, top_p: topP, top_k: topK, seed };
}

/** What is known of a model before its weights are read. */
export interface ModelFiles {
  /** The base model's. */
  readonly folder: string;
  readonly adapter: string | undefined;
  readonly tokenizer: Tokenizer;
}

export async function modelFiles(name: string, flags: ModelFlags): Promise<ModelFiles> {
  const { adapter: given, revision } = flags;
  const isLocal = isAdapterFolder(name);
  const named = isLocal ? name : await resolveModel(name, { revision });
  const adapter = given ?? (isAdapterFolder(named) ? named : undefined);
  // What is said of a revision is said of what the hub has under the name that is given, or else of a folder's base.
  const folder =
    given === undefined && adapter !== undefined
      ? await resolveModel(baseOf(adapter), { revision: isLocal ? revision : undefined })
      : named;
  return { folder, adapter, tokenizer: tokenizerOf(folder, adapter) };
}

/** The model, its adapter attached. */
export async function loadFrom({ folder, adapter }: ModelFiles, flags: ModelFlags): Promise<CausalLM> {
  const options = flags.loadIn4bit ? { quantization: { doubleQuant: true } } : {};
  const model = await loadModel(await openBackend(flags), folder, options);
  if (adapter !== undefined) loadAdapter(model, adapter);
  return model;
}

function baseOf(adapter: string): string {
  const name = readAdapterConfig(adapter).base_model_name_or_path;
  if (name == null)
    throw new UserError(
      `${join(adapter, 'adapter_config.json')} names no base model: give the model and --adapter`,
    );
  return name;
}
