/** What answering will take, found as training's needs are: by running the longest prompts over a backend that only counts. */

import type { AdapterPairs } from '../../ops/pass.js';
import type { Backend } from '../../backends/contract.js';
import { countWork, type Work } from '../../backends/counting.js';
import { SAMPLING_DEFAULTS } from '../../generate/sampler.js';
import { NextTokens } from '../../generate/decode.js';
import {
  cacheFor,
  lengthsOf,
  prefillTokens,
  promptGroups,
  type Prompt,
  type PromptGroup,
} from '../../generate/prompts.js';
import type { CausalLM } from '../../models/model.js';
import { randomModel } from '../../models/load.js';
import type { WeightOptions } from '../../models/weights.js';

export interface GenerationJob {
  /** config.json */
  readonly model: Record<string, unknown>;
  readonly weights: WeightOptions;
  readonly bf16: boolean;
  /** Sequences at once. */
  readonly batch_size: number;
  readonly max_new_tokens: number;
  readonly prompts: readonly Prompt[];
}

/** Bytes on the device, and work. */
export interface GenerationPlan {
  readonly weights: number;
  /** Keys and values. */
  readonly cache: number;
  readonly activations: number;
  readonly peak: number;
  /** New tokens of all answers, each as long as allowed. */
  readonly tokens: number;
  readonly work: Work;
}

/** `imagined`: a fresh backend of `createPlanBackend`. */
export async function planGeneration(imagined: Backend, job: GenerationJob): Promise<GenerationPlan> {
  const counted = countWork(imagined);
  const model = await randomModel(counted.backend, job.model, job.weights);
  const weights = counted.backend.memory().held;
  const plans: Omit<GenerationPlan, 'weights'>[] = [];
  for (const group of promptGroups(job.prompts, job.batch_size, job.max_new_tokens))
    plans.push(await planGroup(counted, model, group, job));
  model.dispose();
  const most = plans.reduce((a, b) => (b.peak > a.peak ? b : a));
  return {
    weights,
    ...most,
    tokens: plans.reduce((n, { tokens }) => n + tokens, 0),
    work: {
      operations: plans.reduce((n, { work }) => n + work.operations, 0),
      bytes: plans.reduce((n, { work }) => n + work.bytes, 0),
    },
  };
}

/** With the longest prompts in the slots, of which as many go through at once as generation lets in. */
async function planGroup(
  counted: ReturnType<typeof countWork>,
  model: CausalLM,
  { prompts, slots }: PromptGroup,
  { bf16, max_new_tokens: newTokens }: GenerationJob,
): Promise<Omit<GenerationPlan, 'weights'>> {
  const { backend } = counted;
  const before = backend.memory().held;
  const longest = [...prompts].sort((a, b) => b.ids.length - a.ids.length).slice(0, slots);
  const cache = cacheFor(model, slots, { longest: lengthsOf(prompts).longest, newTokens, bf16 });
  const cached = backend.memory().held;
  backend.resetPeak();
  const decoder = new NextTokens(model, cache, bf16);
  const pairs: AdapterPairs = new Map();
  const sequences = longest.map((prompt, slot) => ({
    prompt,
    slot,
    tokens: [0],
    pairs,
    sampling: SAMPLING_DEFAULTS,
  }));
  const room = prefillTokens(model);
  const entering: typeof sequences = [];
  for (let tokens = 0, i = 0; i < slots && tokens < room; i++) {
    entering.push(sequences[i]!);
    tokens += sequences[i]!.prompt.ids.length;
  }
  const start = counted.work();
  await decoder.first(entering.map((sequence) => ({ sequence, from: 0, to: sequence.prompt.ids.length })));
  const prefilled = counted.work();
  await decoder.next(sequences);
  const stepped = counted.work();
  const { peak } = backend.memory();
  decoder.dispose();
  cache.dispose();
  const tokensOf = (some: readonly Prompt[]): number => some.reduce((n, p) => n + p.ids.length, 0);
  const prefills = tokensOf(prompts) / tokensOf(entering.map(({ prompt }) => prompt));
  const steps = (newTokens - 1) * Math.ceil(prompts.length / slots);
  const total = (part: keyof Work): number =>
    (prefilled[part] - start[part]) * prefills + (stepped[part] - prefilled[part]) * steps;
  return {
    cache: cached - before,
    activations: peak - cached,
    peak,
    tokens: prompts.length * newTokens,
    work: { operations: total('operations'), bytes: total('bytes') },
  };
}
