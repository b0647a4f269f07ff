/** Random weights in the place of a checkpoint: normal with `initializer_range`, norms 1, biases 0. */

import { philox4x32 } from '../util/philox.js';
import type { WeightSource } from './weights.js';

/** Answers for any name that has a shape in the model. */
export class RandomWeights implements WeightSource {
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

  /** Every weight, but no quantization's state. */
  has(name: string): boolean {
    return !name.includes('.quant_state.');
  }

  read(
    name: string,
    shape: readonly number[],
  ): { dtype: string; shape: readonly number[]; data: Uint8Array } {
    const length = shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(length);
    if (name.endsWith('norm.weight')) values.fill(1);
    else if (!name.endsWith('.bias')) fillNormal(values, this.deviation, this.seed, this.stream++);
    return { dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
  }

  close(): void {
    // Nothing is open.
  }
}

/** Normal numbers by Box and Muller's transform of Philox's. */
function fillNormal(values: Float32Array, deviation: number, seed: number, stream: number): void {
  for (let i = 0; i < values.length; i += 4) {
    const words = philox4x32([i >>> 2, 0, 0, 0], [seed, stream]);
    for (let j = 0; j < 4; j += 2) {
      const radius = deviation * Math.sqrt(-2 * Math.log((words[j]! + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * words[j + 1]!) / 2 ** 32;
      if (i + j < values.length) values[i + j] = radius * Math.cos(angle);
      if (i + j + 1 < values.length) values[i + j + 1] = radius * Math.sin(angle);
    }
  }
}
