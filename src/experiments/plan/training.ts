/**
 * What a training will take, found by running it over a backend that only counts: the program itself lays out its memory, so that
 * nothing is estimated.
 */

import { attachLora, type LoraConfig } from '../../adapters/lora.js';
import type { Backend } from '../../backends/contract.js';
import { countWork, type Work } from '../../backends/counting.js';
import type { Block } from '../../data/index.js';
import { randomModel } from '../../models/load.js';
import type { WeightOptions } from '../../models/weights.js';
import { AdamW } from '../../train/optimizer.js';
import { flatten, forwardBackward } from '../../train/step.js';
import { totalSteps, type TrainingArguments } from '../../train/trainer.js';

export interface TrainingJob {
  /** config.json */
  readonly model: Record<string, unknown>;
  readonly weights: WeightOptions;
  /** False: every weight is trained. */
  readonly lora: LoraConfig | false;
  readonly training: TrainingArguments;
  readonly blocks: readonly Block[];
}

/** Bytes on the device, and work. */
export interface TrainingPlan {
  readonly weights: number;
  readonly adapter: number;
  /** Gradients and moments. */
  readonly optimizer: number;
  /** Activations, their gradients and scratch memory, at the worst moment. */
  readonly activations: number;
  readonly peak: number;
  readonly steps: number;
  /** Tokens of all steps. */
  readonly tokens: number;
  /** Of all steps. */
  readonly work: Work;
}

/** `imagined`: a fresh backend of `createPlanBackend`. */
export async function planTraining(imagined: Backend, job: TrainingJob): Promise<TrainingPlan> {
  const counted = countWork(imagined);
  const { backend } = counted;
  const { training, lora } = job;
  const held = (): number => backend.memory().held;
  const model = await randomModel(backend, job.model, { ...job.weights, trainable: lora === false });
  const weights = held();
  const empty = (n: number): Float32Array => new Float32Array(n);
  const adapter =
    lora === false
      ? undefined
      : attachLora(model, lora, {
          source: (_, r, inputs, outputs) => ({ a: empty(r * inputs), b: empty(outputs * r) }),
        });
  const trained = held();
  const optimizer = new AdamW(adapter?.parameters ?? model.parameters, training);
  const ready = held();
  backend.resetPeak();
  const before = counted.work();
  const batch = flatten(largestBatch(job.blocks, training.per_device_train_batch_size));
  const passes = Math.min(2, training.gradient_accumulation_steps);
  optimizer.zeroGrad();
  for (let pass = 0; pass < passes; pass++)
    await forwardBackward(model, batch, 1 / Math.max(1, batch.trainedTokens), { ...training, pass });
  await optimizer.update(1e-4);
  const { peak } = backend.memory();
  const after = counted.work();
  const steps = totalSteps(job.blocks.length, training);
  const perStep = training.per_device_train_batch_size * training.gradient_accumulation_steps;
  const mean = job.blocks.reduce((n, b) => n + b.ids.length, 0) / job.blocks.length;
  const tokens = Math.round(steps * Math.min(perStep, job.blocks.length) * mean);
  const share = tokens / (passes * batch.ids.length);
  optimizer.dispose();
  adapter?.dispose();
  model.dispose();
  return {
    weights,
    adapter: trained - weights,
    optimizer: ready - trained,
    activations: peak - ready,
    peak,
    steps,
    tokens,
    work: {
      operations: (after.operations - before.operations) * share,
      bytes: (after.bytes - before.bytes) * share,
    },
  };
}

/** The batch of a pass that takes the most memory. */
function largestBatch(blocks: readonly Block[], size: number): Block[] {
  return [...blocks].sort((a, b) => b.ids.length - a.ids.length).slice(0, size);
}
