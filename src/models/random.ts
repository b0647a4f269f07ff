/** Random weights in the place of a checkpoint: normal with `initializer_range`, norms 1, biases 0. */

import type { Tensor } from '../tensor/tensor.js';

/** Makes any array that has a name and a shape in the model, on the model's backend. */
export class RandomWeights {
  readonly path = 'random weights';
  private readonly deviation: number;
  private stream = 0;

  constructor(
    config: Record<string, unknown>,
    private readonly seed: number,
  ) {
    const range = config['initializer_range'];
    this.deviation = typeof range === 'number' ? range : 0.02;
  }

  /** `to`: f32, bf16 or f16. */
  fill(name: string, to: Tensor): void {
    const { kernels } = to.backend;
    const n = to.length;
    if (name.endsWith('norm.weight')) kernels.fill({ y: to, n, value: 1 });
    else if (name.endsWith('.bias')) kernels.fill({ y: to, n, value: 0 });
    else {
      const random = { seed: this.seed, stream: this.stream++, step: 0 };
      kernels.fillNormal({ y: to, n, deviation: this.deviation, random });
    }
  }
}
