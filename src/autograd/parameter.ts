/** A named array of a model that can be trained. While it is, it has a gradient, to which every backward pass adds. */

import type { Tensor } from '../tensor/tensor.js';

export class Parameter {
  private gradient: Tensor | undefined;

  constructor(
    /** The name in the checkpoint, or in the adapter. */
    readonly name: string,
    /** f32 where it is to be trained. */
    readonly value: Tensor,
  ) {}

  /** Defined while the parameter is trained; the optimizer owns it. */
  get grad(): Tensor | undefined {
    return this.gradient;
  }

  set grad(grad: Tensor | undefined) {
    this.gradient = grad;
    this.value.needsGrad = grad !== undefined;
  }
}
