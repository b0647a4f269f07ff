/** What all benchmarks of a model share: the model with random weights, texts, and a clean slate afterwards. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Backend } from '../../backends/contract.js';
import type { Block } from '../../data/index.js';
import { randomModel } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import type { WeightOptions } from '../../models/weights.js';
import { philox4x32 } from '../../util/philox.js';
import type { BenchShape } from './shapes.js';

export type WeightFormat = 'f32' | 'bf16' | 'nf4';

/** Time on the device by kernel. */
export type KernelTimes = ReadonlyMap<string, { readonly calls: number; readonly milliseconds: number }>;

export async function benchModel(
  backend: Backend,
  shape: BenchShape,
  weights: WeightFormat,
): Promise<CausalLM> {
  const model = await randomModel(backend, shape.config, weightOptions(weights));
  settle(backend);
  return model;
}

export function weightOptions(weights: WeightFormat): WeightOptions {
  return weights === 'nf4' ? { quantization: { doubleQuant: true }, dtype: 'bf16' } : { dtype: weights };
}

/** Gives back what making the weights took, or an earlier measurement, that it is not counted with what follows. */
export function settle(backend: Backend): void {
  collectGarbage();
  backend.trim();
}

/** V8 lets tens of megabytes of dead objects lie before it looks; what grows beyond those is told by collecting them first. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

export function randomTexts(model: CausalLM, count: number, length: number, seed: number): Block[] {
  return Array.from({ length: count }, (_, row) => {
    const ids = Int32Array.from(
      { length },
      (_, i) => philox4x32([i, row, 0, 0], [seed, 5])[0] % model.config.vocab_size,
    );
    const positions = Int32Array.from(ids.keys());
    return { ids, labels: ids, positions, segments: new Int32Array(length), rows: [row] };
  });
}

export function countParameters(model: CausalLM): number {
  const embedding = model.config.tie_word_embeddings ? 0 : model.config.vocab_size * model.config.hidden_size;
  return model.multiplyAddsPerToken + embedding;
}
