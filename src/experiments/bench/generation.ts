/** New tokens per second of greedy generation, for a shape with random weights: what `westwind bench --what generate` prints. */

import type { Backend } from '../../backends/contract.js';
import { generate } from '../../generate/generate.js';
import type { BenchShape } from '../../models/family.js';
import { unpackWeights } from '../../models/unpacked.js';
import {
  benchModel,
  parametersPerToken,
  randomTexts,
  settle,
  type KernelTimes,
  weightOptions,
  type WeightFormat,
} from './model.js';

export interface GenerateBench {
  readonly weights: WeightFormat;
  readonly batch: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  /** As in TrainBench. */
  readonly unpackedBytes: number;
  readonly profile: boolean;
}

/** What `benchGeneration` measured. */
export interface GenerateFigures {
  /** New tokens a second, the prompts' time included. */
  readonly tokensPerSecond: number;
  /** Counted as 2 operations a parameter and new token. */
  readonly gflops: number;
  /** The most that the backend held at a time, weights included. */
  readonly peakBytes: number;
  readonly residentBytes: number;
  readonly kernels?: KernelTimes;
}

/** Generates by a model of random weights, and measures it. */
export async function benchGeneration(
  backend: Backend,
  shape: BenchShape,
  options: GenerateBench,
): Promise<GenerateFigures> {
  const model = await benchModel(backend, shape, weightOptions(options.weights));
  const unpacked = unpackWeights(model, options.unpackedBytes);
  try {
    const prompts = randomTexts(model, options.batch, { length: options.promptTokens }, 1).map(
      ({ ids, encoder }, index) => ({ index, ids: [...(encoder?.ids ?? ids)] }),
    );
    const run = async (newTokens: number): Promise<number> => {
      const started = performance.now();
      let count = 0;
      for await (const answer of generate(model, prompts, {
        stopTokens: [],
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
    const profiler = options.profile ? backend.profile?.() : undefined;
    if (profiler) await run(3);
    return {
      tokensPerSecond,
      gflops: (2 * parametersPerToken(model, 1, 0) * tokensPerSecond) / 1e9,
      peakBytes: backend.memory().peak,
      residentBytes: process.memoryUsage.rss(),
      ...(profiler && { kernels: await profiler.stop() }),
    };
  } finally {
    unpacked.dispose();
    model.dispose();
    settle(backend);
  }
}
