/**
 * From a Hugging Face folder to a model: config.json's `model_type` names its family, which takes the weights that it wants out of the
 * checkpoint.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../backends/contract.js';
import type { BlockKernels } from '../backends/cpu/blocks.js';
import { refuseForeignFolder, refuseQuantized, refuseQuantizedTensors } from '../files/index.js';
import { UserError } from '../util/errors.js';
import { readModelJson } from './config.js';
import { CheckpointArrays } from './checkpoint-arrays.js';
import { familyOf } from './families/index.js';
import { kernelsFor, openWeights, type Weights } from './gguf-weights.js';
import type { CausalLM } from './model.js';
import { RandomWeights } from './random.js';
import type { ArraySource } from './source.js';
import { WeightLoader, type WeightOptions } from './weights.js';

/** Loads config.json and the weights of `folder`. Throws UserError on anything missing, malformed or unknown. */
export async function loadModel(
  backend: Backend,
  folder: string,
  options: WeightOptions = {},
): Promise<CausalLM> {
  const { config, path, checkpoint } = openModel(folder, await kernelsFor(folder, backend));
  try {
    const source = new CheckpointArrays(backend, checkpoint, checkpoint.folder);
    return await buildModel(backend, config, path, source, options);
  } finally {
    checkpoint.close();
  }
}

/**
 * The model of `folder` over a backend that holds nothing (`createPlanBackend`): what its modules are called and how large they are. Of the
 * weights only names are read, and what tells a head of its own from a tied one. Throws UserError as `loadModel` does.
 */
export async function modelLayout(imagined: Backend, folder: string): Promise<CausalLM> {
  const { config, path, checkpoint } = openModel(folder);
  try {
    const like = new CheckpointArrays(imagined, checkpoint, checkpoint.folder);
    return await buildModel(imagined, config, path, new RandomWeights(imagined, config, 0, like), {});
  } finally {
    checkpoint.close();
  }
}

interface OpenModel {
  readonly config: Record<string, unknown>;
  /** Of config.json. */
  readonly path: string;
  readonly checkpoint: Weights;
}

function openModel(folder: string, kernels?: BlockKernels): OpenModel {
  const path = join(folder, 'config.json');
  if (!existsSync(path) && existsSync(folder)) {
    refuseForeignFolder(folder);
    if (existsSync(join(folder, 'adapter_config.json')))
      throw new UserError(
        `${folder} is an adapter, not a model: give its base model, and this as the adapter`,
      );
  }
  const config = readModelJson(path);
  refuseQuantized(config, path);
  const checkpoint = openWeights(folder, kernels);
  try {
    refuseQuantizedTensors(checkpoint.names, folder);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
  return { config, path, checkpoint };
}

/** A model of the given config.json with random weights, as transformers initializes them: for pretraining and for benchmarks. */
export function randomModel(
  backend: Backend,
  config: Record<string, unknown>,
  options: WeightOptions & { seed?: number } = {},
): Promise<CausalLM> {
  const source = new RandomWeights(backend, config, options.seed ?? 0);
  return buildModel(backend, config, 'config', source, options);
}

async function buildModel(
  backend: Backend,
  config: Record<string, unknown>,
  path: string,
  source: ArraySource,
  options: WeightOptions,
): Promise<CausalLM> {
  const family = familyOf(config, path);
  const loader = new WeightLoader(backend, source, config, options);
  try {
    return await family.build(config, path, loader);
  } catch (error) {
    loader.dispose();
    throw error;
  } finally {
    // What reading and quantizing took on the way.
    backend.trim();
  }
}
