/** Tokens per second of training, for a shape with random weights: what `westwind bench --what train` prints. */

import type { LoraConfig } from '../../adapters/config.js';
import { attachLora } from '../../adapters/lora.js';
import type { Backend } from '../../backends/contract.js';
import { createPlanBackend } from '../../backends/select.js';
import type { BenchShape } from '../../models/family.js';
import { unpackWeights } from '../../models/unpacked.js';
import { AdamW } from '../../train/optimizer.js';
import { flatten, rowsOf } from '../../train/batch.js';
import { OptimizerStep, runPasses } from '../../train/stepper.js';
import {
  benchModel,
  countParameters,
  parametersPerToken,
  randomTexts,
  settle,
  weightOptions,
  type KernelTimes,
  type WeightFormat,
} from './model.js';
import { trainingArguments, type TrainingArguments } from '../../train/arguments.js';
import { planTraining } from '../plan/training.js';

export interface TrainBench {
  readonly weights: WeightFormat;
  /** Train every weight, kept in f32, in the place of an adapter. */
  readonly full: boolean;
  readonly precision: 'f32' | 'bf16';
  readonly gradientCheckpointing: boolean;
  readonly r: number;
  /** PEFT's `target_modules`. */
  readonly targets: readonly string[] | string;
  readonly dropout: number;
  /** Passes a step, each over the shape's batch. */
  readonly accumulation: number;
  /** Bytes that unpacked copies of NF4 weights may take. */
  readonly unpackedBytes: number;
  /** Measure for at least so long, after one step of warming up. */
  readonly seconds: number;
  /** So many steps in place of a time. */
  readonly steps?: number | undefined;
  /** Sum up the time of each kernel over one more step. */
  readonly profile: boolean;
  /** Called after each measured step. */
  readonly onStep?: ((step: number) => void) | undefined;
}

/** What `benchTraining` measured. */
export interface TrainFigures {
  readonly tokensPerSecond: number;
  /** Counted as 4 operations a parameter and token, 6 with checkpointing, 2 more where weights are trained: frozen ones have no gradient. */
  readonly gflops: number;
  readonly parameters: number;
  /** The most that the backend held at a time, weights included. */
  readonly peakBytes: number;
  /** What `westwind plan` says of it. */
  readonly plannedBytes: number;
  /** The most that the process took of the machine's memory after a step; the loading of the model is left out. */
  readonly residentBytes: number;
  readonly steps: number;
  /** Each step's mean loss. */
  readonly losses: readonly number[];
  readonly kernels?: KernelTimes;
}

/** Trains a model of random weights for some steps, and measures it. */
export async function benchTraining(
  backend: Backend,
  shape: BenchShape,
  options: TrainBench,
): Promise<TrainFigures> {
  const { full } = options;
  const weights = full ? { trainable: true } : weightOptions(options.weights);
  const model = await benchModel(backend, shape, weights);
  const lora = !full && benchLora(options);
  const adapter = lora ? attachLora(model, lora, { seed: 0 }) : undefined;
  const unpacked = unpackWeights(model, options.unpackedBytes);
  const training = benchArguments(shape, options);
  const optimizer = new AdamW((adapter ?? model).parameters, training);
  const sample = randomTexts(model, shape.batch, shape, 0);
  const rows = sample.reduce((n, b) => n + b.ids.length, 0);
  const passRows = sample.reduce((n, b) => n + rowsOf(b), 0);
  const tokens = passRows * options.accumulation;
  const losses: number[] = [];
  const begin = async (step: number): Promise<() => Promise<number>> => {
    const passes = Array.from({ length: options.accumulation }, (_, i) => step * options.accumulation + i);
    const batches = passes.map((pass) => flatten(randomTexts(model, shape.batch, shape, pass)));
    const asked = new OptimizerStep({ optimizer, args: training }, batches, passes[0]!);
    await runPasses(model, [asked], training);
    const figures = asked.update(training.learning_rate);
    return async () => (await figures()).loss;
  };
  try {
    await (
      await begin(0)
    )();
    backend.resetPeak();
    const started = performance.now();
    let steps = 0;
    let residentBytes = 0;
    const more = (): boolean =>
      options.steps === undefined
        ? performance.now() - started < options.seconds * 1000
        : steps < options.steps;
    // As the trainer does it: the next step is asked for before this one's loss is waited for.
    let before: (() => Promise<number>) | undefined;
    while (more()) {
      const now = await begin(++steps);
      if (before) losses.push(await before());
      before = now;
      residentBytes = Math.max(residentBytes, process.memoryUsage.rss());
      options.onStep?.(steps);
    }
    if (before) losses.push(await before());
    await backend.synchronize();
    const rate = (steps * tokens) / ((performance.now() - started) / 1000);
    const profiler = options.profile ? backend.profile?.() : undefined;
    if (profiler) await (await begin(steps + 1))();
    const parameters = countParameters(model);
    const operations = options.gradientCheckpointing ? 6 : 4;
    const { peak } = await planTraining(await createPlanBackend(backend.name), {
      ...{ model: shape.config, weights, lora, training },
      blocks: sample,
    });
    return {
      tokensPerSecond: rate,
      gflops: ((operations + (full ? 2 : 0)) * parametersPerToken(model, rows, passRows - rows) * rate) / 1e9,
      parameters,
      peakBytes: backend.memory().peak,
      plannedBytes: peak + unpacked.bytes,
      residentBytes,
      steps,
      losses,
      ...(profiler && { kernels: await profiler.stop() }),
    };
  } finally {
    optimizer.dispose();
    unpacked.dispose();
    adapter?.dispose();
    model.dispose();
    settle(backend);
  }
}

function benchLora({ r, dropout, targets }: Pick<TrainBench, 'r' | 'dropout' | 'targets'>): LoraConfig {
  return { r, lora_alpha: 16, lora_dropout: dropout, use_rslora: false, target_modules: targets };
}

/** What a bench and its neighbours train by. */
export function benchArguments(
  { batch }: Pick<BenchShape, 'batch'>,
  options: Pick<TrainBench, 'accumulation' | 'gradientCheckpointing' | 'precision'>,
): TrainingArguments {
  return trainingArguments({
    num_train_epochs: 1,
    max_steps: 1,
    per_device_train_batch_size: batch,
    gradient_accumulation_steps: options.accumulation,
    gradient_checkpointing: options.gradientCheckpointing,
    bf16: options.precision === 'bf16',
    seed: 0,
    save_steps: 0,
    weight_decay: 0.01,
  });
}
