/** What a configuration will take: memory by its parts, and time by the machine's measured rates, before anything is loaded. */

import { join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import type { Work } from '../../backends/counting.js';
import { createPlanBackend } from '../../backends/select.js';
import { resolveModel } from '../../import/resolve.js';
import { familyOf } from '../../models/families/index.js';
import { readModelJson } from '../../models/config.js';
import type { Method } from '../../tasks/index.js';
import { Tokenizer, TOKENIZER_FILES } from '../../tokenizer/index.js';
import { canonicalJson, type ResolvedConfig, type ResolvedTask } from '../config/index.js';
import { isScored } from '../config/settings/tuning.js';
import { asTested } from '../data/held-out.js';
import { newTokens, promptSet } from '../data/prompts.js';
import { DataCache } from '../data/data-cache.js';
import type { TaskData } from '../data/task-data.js';
import { fitTraining, type Fit, type FitJob } from './fit.js';
import { planGeneration, type GenerationPlan } from './generation.js';

export interface TaskPlan {
  readonly task: string;
  readonly training?: Fit;
  /** By method; the tuned model's runs without its adapter, which is small. */
  readonly answers: readonly { readonly method: Method; readonly plan: GenerationPlan }[];
}

interface PlannedModel {
  /** config.json */
  readonly shape: Record<string, unknown>;
  readonly tokenizer: Tokenizer;
  readonly data: DataCache;
}

/**
 * Plans configurations for the device of `target`, with `room` bytes of memory. Reads config.json, the tokenizer and the data; no weights.
 * What several configurations have in common is read and counted once.
 */
export class Planner {
  private readonly models = new Map<string, Promise<PlannedModel>>();
  private readonly answers = new Map<string, Promise<GenerationPlan>>();

  constructor(
    private readonly target: Pick<Backend, 'name' | 'activations'>,
    private readonly room: number,
    /** Is told of a task's texts, where encoding them takes long. */
    private readonly onEncoded?: (task: string, done: number, total: number) => void,
  ) {}

  /** A plan for each task. */
  async plan(config: ResolvedConfig): Promise<TaskPlan[]> {
    const { shape, tokenizer, data } = await this.model(config);
    const plans: TaskPlan[] = [];
    for (const settings of config.tasks) {
      const { lora, training } = settings;
      const read = await data.data(settings, config.seed);
      const job = async (): Promise<FitJob> => ({
        ...{ model: shape, weights: config.weights, lora, training },
        blocks: (await data.blocks(read, settings)).blocks,
        ...(await planValidation(config, settings, read, data, { tokenizer, shape, target: this.target })),
      });
      const answers = await Promise.all(
        methodsOf(settings).map(async (method) => {
          const { settings: task, train, test, generation, few_shot_examples } = settings;
          const prompts = [
            config.model_name_or_path,
            config.seed,
            method,
            task,
            train?.from ?? null,
            test ?? null,
          ];
          const key = canonicalJson([
            ...prompts,
            generation,
            few_shot_examples,
            training.bf16,
            config.weights,
          ]);
          const plan = once(this.answers, key, () =>
            planAnswers(config, settings, read, tokenizer, shape, method, this.target),
          );
          return { method, plan: await plan };
        }),
      );
      plans.push({
        task: settings.name,
        ...(settings.tune && { training: await fitTraining(this.target, await job(), this.room) }),
        answers,
      });
    }
    return plans;
  }

  private model({ model_name_or_path, revision }: ResolvedConfig): Promise<PlannedModel> {
    return once(this.models, `${model_name_or_path}@${revision}`, async () => {
      const folder = await resolveModel(model_name_or_path, { revision, files: TOKENIZER_FILES });
      const tokenizer = Tokenizer.load(folder);
      const data = new DataCache(tokenizer, undefined, this.onEncoded);
      return { shape: readModelJson(join(folder, 'config.json')), tokenizer, data };
    });
  }
}

function once<V>(made: Map<string, Promise<V>>, key: string, make: () => Promise<V>): Promise<V> {
  const value = made.get(key) ?? make();
  made.set(key, value);
  return value;
}

function methodsOf({ test, tune, baselines }: ResolvedTask): Method[] {
  return test ? [...baselines, ...(tune ? (['tuned'] as const) : [])] : [];
}

/** What a training is evaluated on, and what answering it takes; nothing where it is not evaluated. */
export async function planValidation(
  config: Pick<ResolvedConfig, 'seed' | 'weights'>,
  settings: ResolvedTask,
  data: TaskData,
  cache: DataCache,
  {
    tokenizer,
    shape,
    target,
  }: {
    readonly tokenizer: Tokenizer;
    /** config.json */
    readonly shape: Record<string, unknown>;
    readonly target: Pick<Backend, 'name'>;
  },
): Promise<Pick<FitJob, 'validation' | 'answers'>> {
  if (settings.training.eval_strategy === undefined) return {};
  const { blocks: validation } = await cache.blocks(data, settings, 'validation');
  if (!isScored(settings.training)) return { validation };
  const asked = asTested(data);
  return {
    validation,
    answers: await planAnswers(config, settings, asked, tokenizer, shape, 'tuned', target),
  };
}

/** Of a method's prompts over a task's test rows. `model`: config.json. */
export async function planAnswers(
  config: Pick<ResolvedConfig, 'seed' | 'weights'>,
  settings: ResolvedTask,
  data: TaskData,
  tokenizer: Tokenizer,
  model: Record<string, unknown>,
  method: Method,
  target: Pick<Backend, 'name'>,
): Promise<GenerationPlan> {
  const max_position_embeddings = familyOf(model, 'config.json').contextLength(model, 'config.json');
  const { prompts } = await promptSet({
    ...{ method, scoring: 'generate', data, settings, tokenizer, seed: config.seed },
    model: { config: { max_position_embeddings } },
  });
  return planGeneration(await createPlanBackend(target.name), {
    ...{ model, weights: config.weights, prompts, bf16: settings.training.bf16 },
    batch_size: settings.generation.batch_size,
    max_new_tokens: newTokens({ method, settings }),
  });
}

/** What a run takes at its worst moment and in all. */
export interface RunPlan {
  readonly peak: number;
  /** Tokens trained on and generated, each answer as long as allowed. */
  readonly tokens: number;
  readonly work: Work;
  readonly fits: boolean;
}

/** A run's plan, or why it has none. `seconds` is not known of a device that is not here. */
export type RunForecast = (RunPlan & { readonly seconds?: number }) | { readonly fault: string };

export function sumOf(plans: readonly TaskPlan[], room: number): RunPlan {
  const parts = plans.flatMap(({ training, answers }) => [
    ...(training ? [training.plan, ...(training.plan.evaluations ? [training.plan.evaluations] : [])] : []),
    ...answers.map(({ plan }) => plan),
  ]);
  const sum = (part: (plan: (typeof parts)[number]) => number): number =>
    parts.reduce((n, p) => n + part(p), 0);
  const peak = Math.max(0, ...parts.map((plan) => plan.peak));
  return {
    peak,
    tokens: sum((p) => p.tokens),
    work: { operations: sum((p) => p.work.operations), bytes: sum((p) => p.work.bytes) },
    fits: peak <= room,
  };
}
