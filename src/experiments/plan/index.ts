/** What a configuration will take: memory by its parts, and time by the machine's measured rates, before anything is loaded. */

import { join } from 'node:path';
import { z } from 'zod';
import type { Backend } from '../../backends/contract.js';
import type { Work } from '../../backends/counting.js';
import { createPlanBackend } from '../../backends/select.js';
import { resolveModel } from '../../files/index.js';
import { readJson } from '../../models/load.js';
import type { PromptKind } from '../../tasks/index.js';
import { Tokenizer } from '../../tokenizer/index.js';
import type { ResolvedConfig, ResolvedTask } from '../config/index.js';
import { newTokens, promptSet } from '../run/predictions.js';
import { readTaskData, trainingBlocks, type TaskData } from '../run/task-data.js';
import { fitTraining, type Fit } from './fit.js';
import { planGeneration, type GenerationPlan } from './generation.js';

export interface TaskPlan {
  readonly task: string;
  readonly training?: Fit;
  /** By method; the tuned model's runs without its adapter, which is small. */
  readonly answers: readonly { readonly method: PromptKind; readonly plan: GenerationPlan }[];
}

/** Operations and bytes a second. */
export interface Rates {
  readonly operations: number;
  readonly bytes: number;
}

/**
 * Plans every task of a configuration for the device of `target`, with `room` bytes of memory. Reads config.json, the tokenizer and the
 * data; no weights.
 */
export async function planRun(
  config: ResolvedConfig,
  target: Pick<Backend, 'name' | 'activations'>,
  room: number,
): Promise<TaskPlan[]> {
  const files = ['config.json', 'tokenizer*', 'special_tokens_map.json'];
  const folder = await resolveModel(config.model_name_or_path, { revision: config.revision, files });
  const model = readJson(join(folder, 'config.json'));
  const tokenizer = Tokenizer.load(folder);
  const plans: TaskPlan[] = [];
  for (const settings of config.tasks) {
    const data = await readTaskData(settings, config.seed);
    const { weights } = config;
    const training =
      settings.train &&
      (await fitTraining(
        target,
        {
          ...{ model, weights, lora: settings.lora, training: settings.training },
          blocks: trainingBlocks(data, settings, tokenizer).blocks,
        },
        room,
      ));
    const answers: TaskPlan['answers'][number][] = [];
    for (const method of methodsOf(settings)) {
      const plan = await planAnswers(config, settings, data, tokenizer, model, method, target);
      answers.push({ method, plan });
    }
    plans.push({ task: settings.name, ...(training && { training }), answers });
  }
  return plans;
}

/** Seconds of some work at these rates: products and passes over memory take turns. */
export function secondsOf({ operations, bytes }: Work, rates: Rates): number {
  return operations / rates.operations + bytes / rates.bytes;
}

function methodsOf({ test, train, baselines }: ResolvedTask): PromptKind[] {
  return test ? [...baselines, ...(train ? (['tuned'] as const) : [])] : [];
}

/** Of a method's prompts over a task's test rows. `model`: config.json. */
export async function planAnswers(
  config: Pick<ResolvedConfig, 'seed' | 'weights'>,
  settings: ResolvedTask,
  data: TaskData,
  tokenizer: Tokenizer,
  model: Record<string, unknown>,
  method: PromptKind,
  target: Pick<Backend, 'name'>,
): Promise<GenerationPlan> {
  const { max_position_embeddings } = z.object({ max_position_embeddings: z.number() }).parse(model);
  const { prompts } = promptSet({
    ...{ method, scoring: 'generate', data, settings, tokenizer, seed: config.seed },
    model: { config: { max_position_embeddings } },
  });
  return planGeneration(await createPlanBackend(target.name), {
    ...{ model, weights: config.weights, prompts, bf16: settings.training.bf16 },
    batch_size: settings.generation.batch_size,
    max_new_tokens: newTokens({ method, settings }),
  });
}
