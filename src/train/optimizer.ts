/** AdamW (Loshchilov and Hutter, arXiv:1711.05101) over a set of parameters, with the gradient's norm clipped; all state in f32. */

import type { Parameter } from '../autograd/parameter.js';
import { Tensor } from '../tensor/tensor.js';

export interface AdamWOptions {
  readonly adam_beta1: number;
  readonly adam_beta2: number;
  readonly adam_epsilon: number;
  readonly weight_decay: number;
  /** 0: no clipping. */
  readonly max_grad_norm: number;
}

export class AdamW {
  /** Updates done. */
  step = 0;
  /** Gradients and moments of all parameters, one behind the other: cleared, measured and saved in one go. */
  private readonly grads: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  private readonly sumSquares: Tensor;
  private readonly clip: Tensor;
  private readonly parts: { readonly p: Parameter; readonly m: Tensor; readonly v: Tensor }[];

  /** Makes every one of `parameters` trained until `dispose`. */
  constructor(
    readonly parameters: readonly Parameter[],
    private readonly options: AdamWOptions,
  ) {
    const { backend } = parameters[0]!.value;
    const size = parameters.reduce((n, p) => n + p.value.length, 0);
    this.grads = Tensor.zeros(backend, [size]);
    this.m = Tensor.zeros(backend, [size]);
    this.v = Tensor.zeros(backend, [size]);
    this.sumSquares = Tensor.zeros(backend, [1]);
    this.clip = Tensor.zeros(backend, [1]);
    backend.kernels.fill({ y: this.clip, n: 1, value: 1 });
    let first = 0;
    this.parts = parameters.map((p) => {
      if (p.value.dtype !== 'f32')
        throw new Error(`${p.name} is ${p.value.dtype}: only f32 parameters can be trained`);
      const { shape, length } = p.value;
      p.grad = this.grads.view(shape, first);
      const part = { p, m: this.m.view(shape, first), v: this.v.view(shape, first) };
      first += length;
      return part;
    });
  }

  zeroGrad(): void {
    this.grads.backend.kernels.fill({ y: this.grads, n: this.grads.length, value: 0 });
  }

  /** The gradient's Euclidean norm over all parameters, before clipping. */
  async gradNorm(): Promise<number> {
    const { kernels } = this.grads.backend;
    kernels.sumSquares({ x: this.grads, n: this.grads.length, out: this.sumSquares, accumulate: false });
    return Math.sqrt((await this.sumSquares.toFloat32())[0]!);
  }

  /** One update with what has gathered in the gradients. Call `gradNorm` before. */
  update(lr: number): void {
    const { kernels } = this.grads.backend;
    const { adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm } = this.options;
    this.step++;
    if (max_grad_norm > 0) {
      kernels.clipCoefficient({ sumSquares: this.sumSquares, maxNorm: max_grad_norm, out: this.clip });
    }
    for (const { p, m, v } of this.parts) {
      kernels.adamw({
        param: p.value,
        grad: p.grad!,
        m,
        v,
        n: p.value.length,
        lr,
        beta1: adam_beta1,
        beta2: adam_beta2,
        eps: adam_epsilon,
        weightDecay: weight_decay,
        step: this.step,
        gradScale: this.clip,
      });
    }
  }

  dispose(): void {
    for (const { p, m, v } of this.parts) {
      p.grad?.release();
      p.grad = undefined;
      m.release();
      v.release();
    }
    for (const t of [this.grads, this.m, this.v, this.sumSquares, this.clip]) t.release();
  }
}
