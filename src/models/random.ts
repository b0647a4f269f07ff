/** Random weights in the place of a checkpoint: normal with `initializer_range`, but for what always begins with the same number. */

import type { Backend } from '../backends/contract.js';
import type { FloatType } from '../files/index.js';
import type { Values } from '../quant/packed.js';
import { Tensor } from '../tensor/tensor.js';
import type { ArraySource } from './source.js';

/** Any array that has a name and a shape in the model. */
export class RandomWeights implements ArraySource {
  readonly path = 'random weights';
  private readonly deviation: number;
  private stream = 0;

  constructor(
    private readonly backend: Backend,
    config: Record<string, unknown>,
    private readonly seed: number,
    /** The checkpoint whose arrays they stand for, where it is only a model's shape that is wanted. */
    private readonly like?: Pick<ArraySource, 'differs'>,
  ) {
    const range = config['initializer_range'];
    this.deviation = typeof range === 'number' ? range : 0.02;
  }

  differs(own: string, tied: string): boolean {
    return this.like?.differs(own, tied) ?? false;
  }

  array(_: string, shape: readonly number[], kept: 'auto' | FloatType, initial?: number): Tensor {
    const values = Tensor.empty(this.backend, shape, kept === 'auto' ? 'f32' : kept);
    const { kernels } = this.backend;
    const n = values.length;
    if (initial !== undefined) kernels.fill({ y: values, n, value: initial });
    else {
      const random = { seed: this.seed, stream: this.stream++, step: 0 };
      kernels.fillNormal({ y: values, n, deviation: this.deviation, random });
    }
    return values;
  }

  async packed<M>(
    name: string,
    rows: number,
    cols: number,
    pack: (values: Values) => Promise<M>,
  ): Promise<M> {
    const values = this.array(name, [rows, cols], 'bf16');
    try {
      return await pack({ values, rows, cols, name });
    } finally {
      values.release();
    }
  }

  stored(): undefined {
    return undefined;
  }
}
