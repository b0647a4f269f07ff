/** What all benchmarks of a model share: the model with random weights, texts, and a clean slate afterwards. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Backend } from '../../backends/contract.js';
import type { Block } from '../../data/index.js';
import type { BenchShape } from '../../models/family.js';
import { randomModel } from '../../models/load.js';
import { isTied, readsByEncoder, type CausalLM } from '../../models/model.js';
import type { WeightOptions } from '../../models/weights.js';
import { PACKED_KINDS, type PackedKind } from '../../quant/formats.js';
import { philox4x32 } from '../../util/philox.js';

const DENSE = ['f32', 'bf16'] as const;
export type WeightFormat = (typeof DENSE)[number] | PackedKind;
export const WEIGHT_FORMATS: readonly WeightFormat[] = [...DENSE, ...PACKED_KINDS];

/** Time on the device by kernel. */
export type KernelTimes = ReadonlyMap<string, { readonly calls: number; readonly milliseconds: number }>;

export async function benchModel(
  backend: Backend,
  shape: BenchShape,
  options: WeightOptions,
): Promise<CausalLM> {
  const model = await randomModel(backend, shape.config, options);
  settle(backend);
  return model;
}

export function weightOptions(weights: WeightFormat): WeightOptions {
  const dense = DENSE.find((type) => type === weights);
  if (dense) return { dtype: dense };
  return { quantization: { format: weights as PackedKind, doubleQuant: true }, dtype: 'bf16' };
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

/** Texts of the shape's length; for a model with an encoder that is what it reads, and what is written has a length of its own. */
export function randomTexts(
  model: CausalLM,
  count: number,
  { length, decoderLength }: Pick<BenchShape, 'length' | 'decoderLength'>,
  seed: number,
): Block[] {
  const encodes = readsByEncoder(model);
  return Array.from({ length: count }, (_, row) => {
    const idsOf = (length: number, stream: number): Int32Array =>
      Int32Array.from(
        { length },
        (_, i) => philox4x32([i, row, 0, 0], [seed, stream])[0] % model.config.vocab_size,
      );
    const written = encodes ? (decoderLength ?? length) : length;
    const ids = idsOf(written, 5);
    const text = {
      ...{ ids, labels: ids, positions: Int32Array.from(ids.keys()) },
      ...{ segments: new Int32Array(written), rows: [row] },
    };
    return encodes ? { ...text, encoder: { ids: idsOf(length, 6), segments: new Int32Array(length) } } : text;
  });
}

export function countParameters(model: CausalLM): number {
  const embedding = isTied(model) ? 0 : model.config.vocab_size * model.config.hidden_size;
  return model.multiplyAddsPerToken + (model.multiplyAddsPerEncoderToken ?? 0) + embedding;
}

/** Parameters that a token passes on average: all of them, but where an encoder has rows and parameters of its own. */
export function parametersPerToken(model: CausalLM, rows: number, encoderRows: number): number {
  const { multiplyAddsPerEncoderToken: ofEncoder, multiplyAddsPerToken: ofDecoder } = model;
  if (ofEncoder === undefined) return countParameters(model);
  return (rows * ofDecoder + encoderRows * ofEncoder) / (rows + encoderRows);
}
