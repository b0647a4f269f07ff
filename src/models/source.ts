/** Where a model's arrays come from: a checkpoint, or random numbers in its place. */

import type { FloatType } from '../files/index.js';
import type { PackedMatrix, Values } from '../quant/packed.js';
import type { Tensor } from '../tensor/tensor.js';

export interface ArraySource {
  /** For messages. */
  readonly path: string;
  /** Whether `own` is there with other values than `tied`. */
  differs(own: string, tied: string): boolean;
  /**
   * An array on the backend, in the type `kept`; 'auto': as it comes. `initial`: what stands everywhere in one that is made up; absent:
   * random numbers.
   */
  array(name: string, shape: readonly number[], kept: 'auto' | FloatType, initial?: number): Tensor;
  /** What `pack` makes of the values of a matrix [rows, cols]. */
  packed<M>(name: string, rows: number, cols: number, pack: (values: Values) => Promise<M>): Promise<M>;
  /** Reads a matrix [rows, cols] that is packed already; undefined where it is not. */
  stored(name: string): ((shape: readonly [rows: number, cols: number]) => PackedMatrix) | undefined;
}
