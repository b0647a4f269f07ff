/**
 * What a training will take, found by running it over a backend that only counts: the program itself lays out its memory, so that
 * nothing is estimated.
 */

import type { LoraConfig } from '../../adapters/config.js';
import { createLora, type LoraSource } from '../../adapters/lora.js';
import type { Backend } from '../../backends/contract.js';
import { countWork, type Work } from '../../backends/counting.js';
import type { Block } from '../../data/index.js';
import { randomModel } from '../../models/load.js';
import type { WeightOptions } from '../../models/weights.js';
import { AdamW } from '../../train/optimizer.js';
import type { CausalLM } from '../../models/model.js';
import type { AdapterPairs } from '../../ops/pass.js';
import { flatten, rowsOf, type FlatBatch } from '../../train/batch.js';
import { evaluationCount, steeringOf } from '../../train/steering.js';
import { evaluatePass } from '../../train/step.js';
import { OptimizerStep, runPasses } from '../../train/stepper.js';
import { stepsPerEpoch, totalSteps, type TrainingArguments } from '../../train/arguments.js';

import type { GenerationPlan } from './generation.js';

/** A training, as a plan needs to know it. */
export interface PlannedTraining {
  /** False: every weight is trained, alone. */
  readonly lora: LoraConfig | false;
  readonly training: TrainingArguments;
  readonly blocks: readonly Block[];
  /** What it is evaluated on, and what answering those rows takes, where its evaluations do. */
  readonly validation?: readonly Block[] | undefined;
  readonly answers?: GenerationPlan | undefined;
}

/** What they are trained over. */
export interface PlanModel {
  /** config.json */
  readonly model: Record<string, unknown>;
  readonly weights: WeightOptions;
}

export interface TrainingJob extends PlanModel, PlannedTraining {}

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
  /** Of all evaluations, if none comes to its end early; absent: there are none. */
  readonly evaluations?: EvaluationsPlan | undefined;
}

interface EvaluationsPlan {
  readonly count: number;
  /** Beside what training holds between its steps. */
  readonly activations: number;
  /** Keys and values of the answers. */
  readonly cache: number;
  readonly peak: number;
  /** Tokens whose loss is taken and that are answered. */
  readonly tokens: number;
  readonly work: Work;
}

/** `imagined`: a fresh backend of `createPlanBackend`. */
export function planTraining(imagined: Backend, job: TrainingJob): Promise<TrainingPlan> {
  return planTogether(imagined, job, [job]);
}

/** Of several adapters that are trained together; steps, tokens and work are the sums of theirs. */
export async function planTogether(
  imagined: Backend,
  { model: config, weights: options }: PlanModel,
  trainings: readonly PlannedTraining[],
): Promise<TrainingPlan> {
  const counted = countWork(imagined);
  const { backend } = counted;
  const held = (): number => backend.memory().held;
  const trainable = trainings.some(({ lora }) => lora === false);
  const model = await randomModel(backend, config, { ...options, trainable });
  const weights = held();
  const empty = (n: number): Float32Array => new Float32Array(n);
  const source: LoraSource = (_module, _tensor, shape) => empty(shape.reduce((a, b) => a * b, 1));
  const adapters = trainings.map(({ lora }) =>
    lora === false ? undefined : createLora(model, lora, { source }),
  );
  const trained = held();
  const optimizers = trainings.map(
    ({ training }, i) => new AdamW(adapters[i]?.parameters ?? model.parameters, training),
  );
  const ready = held();
  backend.resetPeak();
  const before = counted.work();
  const batches = trainings.map(({ blocks, training }) =>
    flatten(largestBatch(blocks, training.per_device_train_batch_size)),
  );
  const passes = Math.min(
    2,
    Math.max(...trainings.map(({ training }) => training.gradient_accumulation_steps)),
  );
  const asked = trainings.map(({ training: args }, i) => {
    const learner = { optimizer: optimizers[i]!, pairs: adapters[i]?.pairs, args };
    return new OptimizerStep(learner, Array<FlatBatch>(passes).fill(batches[i]!), 0);
  });
  await runPasses(model, asked, trainings[0]!.training);
  for (const step of asked) await step.update(1e-4)();
  const trainPeak = backend.memory().peak;
  const after = counted.work();
  const evaluations = await planEvaluations(
    counted,
    model,
    trainings,
    (i) => adapters[i]?.pairs ?? new Map(),
  );
  const peak = Math.max(trainPeak, evaluations?.peak ?? 0);
  for (const optimizer of optimizers) optimizer.dispose();
  for (const adapter of adapters) adapter?.dispose();
  model.dispose();
  const steps = trainings.map(({ blocks, training }) => totalSteps(blocks.length, training));
  const tokens = trainings.map(({ blocks, training }, i) => {
    const perStep = training.per_device_train_batch_size * training.gradient_accumulation_steps;
    const mean = blocks.reduce((n, b) => n + rowsOf(b), 0) / blocks.length;
    return Math.round(steps[i]! * Math.min(perStep, blocks.length) * mean);
  });
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const share = sum(tokens) / (passes * sum(batches.map(rowsOf)));
  return {
    weights,
    adapter: trained - weights,
    optimizer: ready - trained,
    activations: trainPeak - ready,
    peak,
    steps: sum(steps),
    tokens: sum(tokens),
    work: {
      operations: (after.operations - before.operations) * share,
      bytes: (after.bytes - before.bytes) * share,
    },
    ...(evaluations && { evaluations }),
  };
}

/** The evaluations of trainings, each of which has the device for itself beside what all of them hold. */
async function planEvaluations(
  counted: ReturnType<typeof countWork>,
  model: CausalLM,
  trainings: readonly PlannedTraining[],
  pairsOf: (training: number) => AdapterPairs,
): Promise<EvaluationsPlan | undefined> {
  const { backend } = counted;
  const plans: EvaluationsPlan[] = [];
  const { held } = backend.memory();
  for (const [i, { training, blocks, validation = [], answers }] of trainings.entries()) {
    const steering = steeringOf(training);
    if (!steering) continue;
    const course = {
      steps: totalSteps(blocks.length, training),
      perEpoch: stepsPerEpoch(blocks.length, training),
    };
    const count = evaluationCount(steering, course);
    const batch = flatten(largestBatch(validation, training.per_device_train_batch_size));
    backend.resetPeak();
    const before = counted.work();
    await evaluatePass(model, { batch, pairs: pairsOf(i) }, { bf16: training.bf16 });
    const after = counted.work();
    const loss = backend.memory().peak - held;
    const all = validation.reduce((n, block) => n + rowsOf(block), 0);
    const total = (part: keyof Work): number =>
      count * (((after[part] - before[part]) * all) / rowsOf(batch) + (answers?.work[part] ?? 0));
    plans.push({
      count,
      activations: Math.max(loss, answers?.activations ?? 0),
      cache: answers?.cache ?? 0,
      peak: held + Math.max(loss, answers ? answers.peak - answers.weights : 0),
      tokens: count * (all + (answers?.tokens ?? 0)),
      work: { operations: total('operations'), bytes: total('bytes') },
    });
  }
  if (plans.length === 0) return undefined;
  const sum = (of: (plan: EvaluationsPlan) => number): number => plans.reduce((n, plan) => n + of(plan), 0);
  return {
    ...plans.reduce((a, b) => (b.peak > a.peak ? b : a)),
    ...{ count: sum((p) => p.count), tokens: sum((p) => p.tokens) },
    work: { operations: sum((p) => p.work.operations), bytes: sum((p) => p.work.bytes) },
  };
}

/** The batch of a pass that takes the most memory. */
function largestBatch(blocks: readonly Block[], size: number): Block[] {
  return [...blocks].sort((a, b) => rowsOf(b) - rowsOf(a)).slice(0, size);
}
