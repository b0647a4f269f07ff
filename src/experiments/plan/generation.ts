/** What answering will take, found as training's needs are: by running the longest prompts over a backend that only counts. */

import type { Backend } from '../../backends/contract.js';
import { countWork, type Work } from '../../backends/counting.js';
import { Decoder } from '../../generate/decode.js';
import { cacheFor, type Prompt } from '../../generate/prompts.js';
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
  const { backend } = counted;
  const { prompts, max_new_tokens, bf16 } = job;
  const model = await randomModel(backend, job.model, job.weights);
  const weights = backend.memory().held;
  const longest = [...prompts].sort((a, b) => b.ids.length - a.ids.length).slice(0, job.batch_size);
  const slots = longest.length;
  const cache = cacheFor(model, slots, { longest: longest[0]!.ids.length, newTokens: max_new_tokens, bf16 });
  const cached = backend.memory().held;
  backend.resetPeak();
  const greedy = { do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 0, bf16 };
  const decoder = new Decoder(model, cache, greedy);
  const sequences = longest.map((prompt, slot) => ({ prompt, slot, tokens: [0] }));
  const start = counted.work();
  await decoder.first(sequences, 0);
  const prefilled = counted.work();
  await decoder.next(sequences);
  const stepped = counted.work();
  const { peak } = backend.memory();
  decoder.dispose();
  cache.dispose();
  model.dispose();
  const promptTokens = prompts.reduce((n, p) => n + p.ids.length, 0);
  const prefills = promptTokens / longest.reduce((n, p) => n + p.ids.length, 0);
  const steps = (max_new_tokens - 1) * Math.ceil(prompts.length / slots);
  const total = (part: keyof Work): number =>
    (prefilled[part] - start[part]) * prefills + (stepped[part] - prefilled[part]) * steps;
  return {
    weights,
    cache: cached - weights,
    activations: peak - cached,
    peak,
    tokens: prompts.length * max_new_tokens,
    work: { operations: total('operations'), bytes: total('bytes') },
  };
}
