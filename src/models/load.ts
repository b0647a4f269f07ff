/**
 * From a Hugging Face folder to a model. The architecture is the file in families/ that bears config.json's `model_type`: adding one is
 * adding a file.
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '../backends/contract.js';
import {
  openCheckpoint,
  refuseForeignFolder,
  refuseQuantized,
  refuseQuantizedTensors,
} from '../files/index.js';
import { UserError } from '../util/errors.js';
import { readJsonObject } from '../util/json.js';
import type { CausalLM } from './model.js';
import { RandomWeights } from './random.js';
import { WeightLoader, type WeightOptions, type WeightSource } from './weights.js';

export type ModelBuilder = (config: unknown, path: string, weights: WeightLoader) => Promise<CausalLM>;

/** Loads config.json and the safetensors of `folder`. Throws UserError on anything missing, malformed or unknown. */
export async function loadModel(
  backend: Backend,
  folder: string,
  options: WeightOptions = {},
): Promise<CausalLM> {
  const { config, path, source } = openModel(folder);
  try {
    return await buildModel(backend, config, path, source, options);
  } finally {
    source.close();
  }
}

/**
 * The model of `folder` over a backend that holds nothing (`createPlanBackend`): what its modules are called and how large they are. Of the
 * weights only names are read, and what tells a head of its own from a tied one. Throws UserError as `loadModel` does.
 */
export async function modelLayout(imagined: Backend, folder: string): Promise<CausalLM> {
  const { config, path, source } = openModel(folder);
  try {
    return await buildModel(imagined, config, path, new RandomWeights(config, 0, source), {});
  } finally {
    source.close();
  }
}

interface OpenModel {
  readonly config: Record<string, unknown>;
  /** Of config.json. */
  readonly path: string;
  readonly source: WeightSource;
}

function openModel(folder: string): OpenModel {
  const path = join(folder, 'config.json');
  if (!existsSync(path) && existsSync(folder)) {
    refuseForeignFolder(folder);
    if (existsSync(join(folder, 'adapter_config.json')))
      throw new UserError(
        `${folder} is an adapter, not a model: give its base model, and this as the adapter`,
      );
  }
  const config = readJson(path);
  refuseQuantized(config, path);
  const checkpoint = openCheckpoint(folder);
  const source: WeightSource = {
    path: folder,
    has: (name) => checkpoint.has(name),
    same: (a, b) => checkpoint.same(a, b),
    read: (name, room) => checkpoint.read(name, room?.(checkpoint.info(name).byteLength)),
    close: () => checkpoint.close(),
  };
  try {
    refuseQuantizedTensors(checkpoint.names, folder);
  } catch (error) {
    source.close();
    throw error;
  }
  return { config, path, source };
}

/** A model of the given config.json with random weights, as transformers initializes them: for pretraining and for benchmarks. */
export function randomModel(
  backend: Backend,
  config: Record<string, unknown>,
  options: WeightOptions & { seed?: number } = {},
): Promise<CausalLM> {
  return buildModel(backend, config, 'config', new RandomWeights(config, options.seed ?? 0), options);
}

async function buildModel(
  backend: Backend,
  config: Record<string, unknown>,
  path: string,
  source: WeightSource | RandomWeights,
  options: WeightOptions,
): Promise<CausalLM> {
  const type = config['model_type'];
  if (typeof type !== 'string') throw new UserError(`${path}: model_type is missing`);
  const known = architectures();
  if (!known.includes(type)) {
    throw new UserError(`${path}: model_type '${type}' is not supported; Westwind knows ${known.join(', ')}`);
  }
  const { build } = (await import(new URL(`./families/${type}.js`, import.meta.url).href)) as {
    build: ModelBuilder;
  };
  const loader = new WeightLoader(backend, source, config, options);
  try {
    return await build(config, path, loader);
  } catch (error) {
    loader.dispose();
    throw error;
  } finally {
    // What reading and quantizing took on the way.
    backend.trim();
  }
}

/** The model types that can be loaded. */
export function architectures(): string[] {
  return readdirSync(fileURLToPath(new URL('./families', import.meta.url)))
    .map((file) => /^([a-z0-9_]+)\.(?:ts|js)$/.exec(file)?.[1] ?? '')
    .filter((name) => name !== '')
    .sort();
}

/** A file of a model or adapter folder. */
export function readJson(path: string): Record<string, unknown> {
  if (!existsSync(path))
    throw new UserError(`${path} does not exist; a model folder in Hugging Face's layout has one`);
  return readJsonObject(path);
}
