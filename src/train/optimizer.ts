/** AdamW (Loshchilov and Hutter, arXiv:1711.05101) over a set of parameters, with the gradient's norm clipped; all state in f32. */

import type { Parameter } from '../autograd/parameter.js';
import type { Span } from '../backends/span.js';
import { slice, Tensor } from '../tensor/tensor.js';

export interface AdamWOptions {
  readonly adam_beta1: number;
  readonly adam_beta2: number;
  readonly adam_epsilon: number;
  readonly weight_decay: number;
  /** 0: no clipping. */
  readonly max_grad_norm: number;
  /** Keep the moments in the host's memory (QLoRA's paged optimizer, arXiv:2305.14314): slower, the same bits. */
  readonly paged?: boolean;
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
  /** Parameters that lie one behind the other are one part. */
  private readonly parts: {
    readonly param: Span;
    readonly grad: Span;
    readonly m: Span;
    readonly v: Span;
  }[] = [];

  /** Makes every one of `parameters` trained until `dispose`. */
  constructor(
    readonly parameters: readonly Parameter[],
    private readonly options: AdamWOptions,
  ) {
    const { backend } = parameters[0]!.value;
    const size = parameters.reduce((n, p) => n + p.value.length, 0);
    this.grads = Tensor.zeros(backend, [size]);
    const place = options.paged ? 'host' : 'device';
    this.m = Tensor.zeros(backend, [size], 'f32', place);
    this.v = Tensor.zeros(backend, [size], 'f32', place);
    this.sumSquares = Tensor.zeros(backend, [1]);
    this.clip = Tensor.zeros(backend, [1]);
    let first = 0;
    let start = 0;
    for (const [i, p] of parameters.entries()) {
      if (p.value.dtype !== 'f32')
        throw new Error(`${p.name} is ${p.value.dtype}: only f32 parameters can be trained`);
      const { shape, length, buffer, offset } = p.value;
      p.grad = this.grads.view(shape, first);
      first += length;
      const next = parameters[i + 1]?.value;
      if (next?.buffer === buffer && next.offset === offset + length * 4) continue;
      const part = (t: Tensor): Span => slice(t, start, first - start);
      const param: Span = {
        buffer,
        offset: offset + length * 4 - (first - start) * 4,
        dtype: 'f32',
        length: first - start,
      };
      this.parts.push({ param, grad: part(this.grads), m: part(this.m), v: part(this.v) });
      start = first;
    }
  }

  zeroGrad(): void {
    this.grads.backend.kernels.fill({ y: this.grads, n: this.grads.length, value: 0 });
  }

  /**
   * One update with what has gathered in the gradients, asked of the backend at once. Where the gradient is not finite, parameters and
   * moments stay as they are.
   * @returns the gradient's Euclidean norm over all parameters, before clipping, when it is there
   */
  update(lr: number): Promise<number> {
    const { kernels } = this.grads.backend;
    const { adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm } = this.options;
    this.step++;
    kernels.sumSquares({ x: this.grads, n: this.grads.length, out: this.sumSquares, accumulate: false });
    const squares = this.sumSquares.toFloat32();
    const maxNorm = max_grad_norm > 0 ? max_grad_norm : Infinity;
    kernels.clipCoefficient({ sumSquares: this.sumSquares, maxNorm, out: this.clip });
    for (const part of this.parts) {
      kernels.adamw({
        ...part,
        n: part.param.length,
        lr,
        beta1: adam_beta1,
        beta2: adam_beta2,
        eps: adam_epsilon,
        weightDecay: weight_decay,
        step: this.step,
        gradScale: this.clip,
      });
    }
    return squares.then(([sum]) => Math.sqrt(sum!));
  }

  dispose(): void {
    for (const p of this.parameters) {
      p.grad?.release();
      p.grad = undefined;
    }
    for (const t of [this.grads, this.m, this.v, this.sumSquares, this.clip]) t.release();
  }
}
