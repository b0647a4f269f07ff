/**
 * y = x·Wᵀ [+ bias] [+ (alpha/r)·dropout(x)·Aᵀ·Bᵀ] [+ residual]: a Linear as fine-tuning sees it, over a dense or NF4 weight, with
 * LoRA (arXiv:2106.09685) fused in, because its thin products ride along with the large one at almost no cost.
 */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Matrix, Span } from '../backends/contract.js';
import { Tensor } from '../tensor/tensor.js';

export interface Lora {
  /** f32 [r, in] */
  readonly a: Parameter;
  /** f32 [out, r] */
  readonly b: Parameter;
  readonly r: number;
  /** alpha / r, or alpha / sqrt(r) with rsLoRA (arXiv:2312.03732). */
  readonly scaling: number;
  readonly dropout: number;
  /** The stream of this module's dropout masks. */
  readonly stream: number;
}

/** What the operation reads of a module. */
export interface LinearWeights {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** [out, in] */
  readonly weight: Matrix;
  /** The same weight where it can be trained. */
  readonly parameter?: Parameter | undefined;
  readonly bias?: Parameter | undefined;
  readonly lora?: Lora | undefined;
}

export interface LinearOptions {
  /** [rows, out], added to the result. */
  readonly residual?: Tensor;
  /** See `GemmArgs.path`. */
  readonly path?: 'tiles' | 'rows';
  /** The number of x's first row, for the dropout mask of a product done in pieces. */
  readonly firstRow?: number;
}

/** x [rows, in] to [rows, out]. */
export function linear(g: Graph, x: Tensor, w: LinearWeights, options: LinearOptions = {}): Tensor {
  const { y, u } = linearForward(g, x, w, options);
  const { residual } = options;
  if (g.records(x, residual, w.parameter?.value, w.bias?.value, w.lora?.a.value)) {
    g.record(y, [trains(w) ? x : undefined, u], (dy) => {
      linearBackward(g, dy, x, u, w, options.firstRow ?? 0);
      if (residual?.needsGrad) g.giveGrad(residual, dy);
    });
  }
  return y;
}

/** The product alone, and LoRA's inner activation u = dropout(x)·Aᵀ, which the backward wants again. */
export function linearForward(
  g: Graph,
  x: Tensor,
  w: LinearWeights,
  { residual, path = 'tiles', firstRow = 0 }: LinearOptions,
): { y: Tensor; u: Tensor | undefined } {
  const rows = x.length / w.inFeatures;
  const y = g.empty([rows, w.outFeatures]);
  const u = w.lora && inner(g, dropped(g, x, w.lora, firstRow), w.lora, rows, w.inFeatures, path);
  g.kernels.gemm({
    m: rows,
    n: w.outFeatures,
    k: w.inFeatures,
    a: x,
    b: w.weight,
    transB: true,
    c: y,
    path,
    precision: g.precision,
    ...(w.lora && u && { extra: { a: u, b: w.lora.b.value, k: w.lora.r, alpha: w.lora.scaling } }),
    ...(w.bias && { bias: w.bias.value }),
    ...(residual && { residual }),
  });
  return { y, u };
}

/** Adds to the gradients of x and of everything in `w` that is trained. */
export function linearBackward(
  g: Graph,
  dy: Tensor,
  x: Tensor,
  u: Tensor | undefined,
  w: LinearWeights,
  firstRow: number,
): void {
  const { inFeatures, outFeatures, lora } = w;
  const rows = dy.length / outFeatures;
  if (w.bias?.grad) g.kernels.sumRows({ x: dy, y: w.bias.grad, rows, cols: outFeatures, accumulate: true });
  if (w.parameter?.grad) {
    outer(g, dy, x, w.parameter.grad, outFeatures, inFeatures, rows, 1);
  }
  let du: Tensor | undefined;
  if (lora && u) {
    du = g.empty([rows, lora.r]);
    const b: Matrix = { kind: 'dense', rows: outFeatures, cols: lora.r, data: lora.b.value };
    g.kernels.gemm({
      m: rows,
      n: lora.r,
      k: outFeatures,
      a: dy,
      b,
      c: du,
      alpha: lora.scaling,
      precision: g.precision,
    });
    if (lora.b.grad) outer(g, dy, u, lora.b.grad, outFeatures, lora.r, rows, lora.scaling);
    if (lora.a.grad) outer(g, du, dropped(g, x, lora, firstRow), lora.a.grad, lora.r, inFeatures, rows, 1);
  }
  if (!x.needsGrad) return;
  const mask = lora && du && lora.dropout > 0 && g.training;
  g.addGrad(x, (dx, accumulate) => {
    g.kernels.gemm({
      m: rows,
      n: inFeatures,
      k: outFeatures,
      a: dy,
      b: w.weight,
      c: dx,
      accumulate,
      precision: g.precision,
      ...(lora && du && !mask && { extra: { a: du, b: lora.a.value, k: lora.r, alpha: 1 } }),
    });
    if (mask) {
      const masked = g.empty([rows, inFeatures]);
      const a: Matrix = { kind: 'dense', rows: lora.r, cols: inFeatures, data: lora.a.value };
      g.kernels.gemm({ m: rows, n: inFeatures, k: lora.r, a: du!, b: a, c: masked, precision: g.precision });
      applyDropout(g, masked, dx, lora, firstRow * inFeatures, true);
    }
  });
}

function trains(w: LinearWeights): boolean {
  return w.lora !== undefined || w.parameter?.grad !== undefined;
}

function dropped(g: Graph, x: Tensor, lora: Lora, firstRow: number): Tensor {
  if (lora.dropout === 0 || !g.training) return x;
  const y = g.empty(x.shape);
  applyDropout(g, x, y, lora, firstRow * lora.a.value.shape[1]!, false);
  return y;
}

function applyDropout(
  g: Graph,
  x: Tensor,
  y: Tensor,
  lora: Lora,
  firstElement: number,
  accumulate: boolean,
): void {
  const random = g.random(lora.stream);
  g.kernels.dropout({ x, y, n: x.length, p: lora.dropout, random, firstElement, accumulate });
}

function inner(
  g: Graph,
  x: Tensor,
  lora: Lora,
  rows: number,
  inFeatures: number,
  path: 'tiles' | 'rows',
): Tensor {
  const u = g.empty([rows, lora.r]);
  const b: Matrix = { kind: 'dense', rows: lora.r, cols: inFeatures, data: lora.a.value };
  g.kernels.gemm({
    m: rows,
    n: lora.r,
    k: inFeatures,
    a: x,
    b,
    transB: true,
    c: u,
    path,
    precision: g.precision,
  });
  return u;
}

/** dw [n, k] += alpha · dyᵀ [n, rows] · x [rows, k]. */
function outer(
  g: Graph,
  dy: Span,
  x: Span,
  dw: Span,
  n: number,
  k: number,
  rows: number,
  alpha: number,
): void {
  const b: Matrix = { kind: 'dense', rows, cols: k, data: x };
  g.kernels.gemm({
    m: n,
    n: k,
    k: rows,
    a: dy,
    transA: true,
    b,
    c: dw,
    alpha,
    accumulate: true,
    precision: g.precision,
  });
}
