/** Random weights in the place of a checkpoint: normal with `initializer_range`, but for what always begins with the same number. */

import type { Tensor } from '../tensor/tensor.js';
import type { WeightSource } from './weights.js';

/** Makes any array that has a name and a shape in the model, on the model's backend. */
export class RandomWeights {
  readonly path = 'random weights';
  private readonly deviation: number;
  private stream = 0;

  constructor(
    config: Record<string, unknown>,
    private readonly seed: number,
    /** The checkpoint whose arrays they stand for, where it is only a model's shape that is wanted. */
    readonly like?: Pick<WeightSource, 'has' | 'same'>,
  ) {
    const range = config['initializer_range'];
    this.deviation = typeof range === 'number' ? range : 0.02;
  }

  /** `to`: f32, bf16 or f16; where `value` is given (norms, biases), that is everywhere. */
  fill(to: Tensor, value?: number): void {
    const { kernels } = to.backend;
    const n = to.length;
    if (value !== undefined) kernels.fill({ y: to, n, value });
    else {
      const random = { seed: this.seed, stream: this.stream++, step: 0 };
      kernels.fillNormal({ y: to, n, deviation: this.deviation, random });
    }
  }
}
