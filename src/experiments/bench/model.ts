/** Tokens per second of training and of greedy generation, for a shape with random weights: what `westwind bench` prints. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { attachLora } from '../../adapters/lora.js';
import type { Backend } from '../../backends/contract.js';
import type { Block } from '../../data/index.js';
import { generate } from '../../generate/generate.js';
import { randomModel } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import type { WeightOptions } from '../../models/weights.js';
import { AdamW } from '../../train/optimizer.js';
import { flatten, forwardBackward } from '../../train/step.js';
import { philox4x32 } from '../../util/philox.js';
import type { BenchShape } from './shapes.js';

export type WeightFormat = 'f32' | 'bf16' | 'nf4';

export interface TrainBench {
  readonly weights: WeightFormat;
  readonly precision: 'f32' | 'bf16';
  readonly gradientCheckpointing: boolean;
  readonly r: number;
  /** Measure for at least so long, after one step of warming up. */
  readonly seconds: number;
  /** So many steps in place of a time. */
  readonly steps?: number | undefined;
  /** Called after each measured step. */
  readonly onStep?: ((step: number) => void) | undefined;
}

export interface TrainFigures {
  readonly tokensPerSecond: number;
  /** Counted as 4 operations a parameter and token: frozen weights have no gradient. */
  readonly gflops: number;
  readonly parameters: number;
  /** The most that the backend held at a time during the steps. */
  readonly peakBytes: number;
  /** The most that the process took of the machine's memory after a step; the loading of the model is left out. */
  readonly residentBytes: number;
  readonly steps: number;
}

export async function benchTraining(
  backend: Backend,
  shape: BenchShape,
  options: TrainBench,
): Promise<TrainFigures> {
  const model = await benchModel(backend, shape, options.weights);
  const lora = {
    r: options.r,
    lora_alpha: 16,
    lora_dropout: 0,
    use_rslora: false,
    target_modules: 'all-linear',
  };
  const adapter = attachLora(model, lora, { seed: 0 });
  const optimizer = new AdamW(adapter.parameters, {
    adam_beta1: 0.9,
    adam_beta2: 0.999,
    adam_epsilon: 1e-8,
    weight_decay: 0.01,
    max_grad_norm: 0.3,
  });
  const tokens = shape.batch * shape.length;
  const step = async (pass: number): Promise<void> => {
    const batch = flatten(randomTexts(model, shape.batch, shape.length, pass));
    optimizer.zeroGrad();
    await forwardBackward(model, batch, 1 / batch.trainedTokens, {
      seed: 0,
      pass,
      bf16: options.precision === 'bf16',
      gradient_checkpointing: options.gradientCheckpointing,
      neftune_noise_alpha: 0,
    });
    await optimizer.gradNorm();
    optimizer.update(2e-4);
  };
  try {
    await step(0);
    backend.resetPeak();
    const started = performance.now();
    let steps = 0;
    let residentBytes = 0;
    const more = (): boolean =>
      options.steps === undefined
        ? performance.now() - started < options.seconds * 1000
        : steps < options.steps;
    while (more()) {
      await step(++steps);
      residentBytes = Math.max(residentBytes, process.memoryUsage.rss());
      options.onStep?.(steps);
    }
    await backend.synchronize();
    const rate = (steps * tokens) / ((performance.now() - started) / 1000);
    const parameters = countParameters(model);
    return {
      tokensPerSecond: rate,
      gflops: (4 * parameters * rate) / 1e9,
      parameters,
      peakBytes: backend.memory().peak,
      residentBytes,
      steps,
    };
  } finally {
    optimizer.dispose();
    adapter.dispose();
    model.dispose();
    settle(backend);
  }
}

export interface GenerateBench {
  readonly weights: WeightFormat;
  readonly batch: number;
  readonly promptTokens: number;
  readonly newTokens: number;
}

export interface GenerateFigures {
  /** New tokens a second, the prompts' time included. */
  readonly tokensPerSecond: number;
  /** Counted as 2 operations a parameter and new token. */
  readonly gflops: number;
  readonly peakBytes: number;
  readonly residentBytes: number;
}

export async function benchGeneration(
  backend: Backend,
  shape: BenchShape,
  options: GenerateBench,
): Promise<GenerateFigures> {
  const model = await benchModel(backend, shape, options.weights);
  try {
    const prompts = randomTexts(model, options.batch, options.promptTokens, 1).map((b, index) => ({
      index,
      ids: [...b.ids],
    }));
    const run = async (newTokens: number): Promise<number> => {
      const started = performance.now();
      const settings = { do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 0, stopTokens: [] };
      let count = 0;
      for await (const answer of generate(model, prompts, {
        ...settings,
        max_new_tokens: newTokens,
        batch_size: options.batch,
        bf16: options.weights !== 'f32',
      })) {
        count += answer.tokens.length;
      }
      return count / ((performance.now() - started) / 1000);
    };
    await run(2);
    backend.resetPeak();
    const tokensPerSecond = await run(options.newTokens);
    return {
      tokensPerSecond,
      gflops: (2 * countParameters(model) * tokensPerSecond) / 1e9,
      peakBytes: backend.memory().peak,
      residentBytes: process.memoryUsage.rss(),
    };
  } finally {
    model.dispose();
    settle(backend);
  }
}

async function benchModel(backend: Backend, shape: BenchShape, weights: WeightFormat): Promise<CausalLM> {
  const options: WeightOptions =
    weights === 'nf4' ? { quantization: { doubleQuant: true }, dtype: 'bf16' } : { dtype: weights };
  const model = await randomModel(backend, shape.config, options);
  settle(backend);
  return model;
}

/** Gives back what making the weights took, or an earlier measurement, that it is not counted with what follows. */
function settle(backend: Backend): void {
  collectGarbage();
  backend.trim();
}

/** V8 lets tens of megabytes of dead objects lie before it looks; what grows beyond those is told by collecting them first. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

function randomTexts(model: CausalLM, count: number, length: number, seed: number): Block[] {
  return Array.from({ length: count }, (_, row) => {
    const ids = Int32Array.from(
      { length },
      (_, i) => philox4x32([i, row, 0, 0], [seed, 5])[0] % model.config.vocab_size,
    );
    const positions = Int32Array.from(ids.keys());
    return { ids, labels: ids, positions, segments: new Int32Array(length), rows: [row] };
  });
}

function countParameters(model: CausalLM): number {
  const embedding = model.config.tie_word_embeddings ? 0 : model.config.vocab_size * model.config.hidden_size;
  return model.multiplyAddsPerToken + embedding;
}
