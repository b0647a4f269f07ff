/**
 * y = x·Wᵀ [+ bias] [+ (alpha/r)·dropout(x)·Aᵀ·Bᵀ] [+ residual]: a Linear as fine-tuning sees it, over a dense or NF4 weight, with
 * LoRA (arXiv:2106.09685) fused in, because its thin products ride along with the large one at almost no cost.
 */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Dropout, GemmArgs, Matrix, Span } from '../backends/contract.js';
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
  /** The type of the result where it is not that of activations: logits are f32. */
  readonly output?: 'f32';
  /** The result is all that a checkpointed piece returns: when the piece runs again for its backward, nobody reads it. */
  readonly last?: boolean;
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

/** The Linears of `ws` over the same x. Few rows, of which nothing is learnt, go through all of them at once. */
export function linears(g: Graph, x: Tensor, ws: readonly LinearWeights[], path: 'tiles' | 'rows'): Tensor[] {
  if (path === 'tiles') return ws.map((w) => linear(g, x, w, { path }));
  const results = ws.map((w) => g.empty([x.length / w.inFeatures, w.outFeatures]));
  const products = ws.map((w, i) => {
    const u = w.lora && inner(g, x, w.lora, 0, path);
    return product(g, x, w, results[i]!, u, undefined, path);
  });
  g.kernels.gemms({ products });
  return results;
}

/** The product alone, and LoRA's inner activation u = dropout(x)·Aᵀ, which the backward wants again. */
export function linearForward(
  g: Graph,
  x: Tensor,
  w: LinearWeights,
  { residual, path = 'tiles', firstRow = 0, output, last }: LinearOptions,
): { y: Tensor; u: Tensor | undefined } {
  const rows = x.length / w.inFeatures;
  const y = g.empty([rows, w.outFeatures], output);
  const u = w.lora && inner(g, x, w.lora, firstRow, path);
  if (!(last && g.recomputing)) g.kernels.gemm(product(g, x, w, y, u, residual, path));
  return { y, u };
}

/** The kernel's arguments. */
function product(
  g: Graph,
  x: Tensor,
  w: LinearWeights,
  y: Tensor,
  u: Tensor | undefined,
  residual: Tensor | undefined,
  path: 'tiles' | 'rows',
): GemmArgs {
  return {
    m: x.length / w.inFeatures,
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
  };
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
    const b: Matrix = { kind: 'dense', rows, cols: inFeatures, data: x };
    const product = { m: outFeatures, n: inFeatures, k: rows, a: dy, transA: true, b } as const;
    g.kernels.gemm({ ...product, c: w.parameter.grad, accumulate: true, precision: g.precision });
  }
  const { precision } = g;
  let downBackward: ((dx?: Span, accumulate?: boolean) => void) | undefined;
  if (lora && u) {
    const { r, a, b, scaling: alpha } = lora;
    const du = g.empty([rows, r]);
    const up = { rows, cols: outFeatures, r, precision, alpha };
    g.kernels.loraUpBackward({ ...up, dy, u, b: b.value, du, ...(b.grad && { dB: b.grad }) });
    const dropout = dropoutOf(g, lora, firstRow);
    const down = { rows, cols: inFeatures, r, precision, ...(dropout && { dropout }) };
    downBackward = (dx, accumulate = false) => {
      const into = { ...(a.grad && { dA: a.grad }), ...(dx && { dx }), accumulate };
      g.kernels.loraDownBackward({ ...down, x, du, a: a.value, ...into });
    };
  }
  if (!x.needsGrad) {
    downBackward?.();
    return;
  }
  g.addGrad(x, (dx, accumulate) => {
    // The adapter first: the large product then adds to what stands there.
    downBackward?.(dx, accumulate);
    g.kernels.gemm({
      m: rows,
      n: inFeatures,
      k: outFeatures,
      a: dy,
      b: w.weight,
      c: dx,
      accumulate: accumulate || downBackward !== undefined,
      precision,
    });
  });
}

function trains(w: LinearWeights): boolean {
  return w.lora !== undefined || w.parameter?.grad !== undefined;
}

/** The mask on LoRA's input x, whose first row has the number `firstRow`. */
function dropoutOf(g: Graph, lora: Lora, firstRow: number): Dropout | undefined {
  if (lora.dropout === 0 || !g.training) return undefined;
  const firstElement = firstRow * lora.a.value.shape[1]!;
  return { p: lora.dropout, random: g.random(lora.stream), firstElement };
}

/** u = dropout(x)·Aᵀ, [rows, r]. */
function inner(g: Graph, x: Tensor, lora: Lora, firstRow: number, path: 'tiles' | 'rows'): Tensor {
  const { r } = lora;
  const a = lora.a.value;
  const cols = a.shape[1]!;
  const rows = x.length / cols;
  const u = g.empty([rows, r]);
  const dropout = dropoutOf(g, lora, firstRow);
  const { precision } = g;
  if (path === 'rows') {
    const b: Matrix = { kind: 'dense', rows: r, cols, data: a };
    g.kernels.gemm({ m: rows, n: r, k: cols, a: x, b, transB: true, c: u, path, precision });
  } else g.kernels.loraDown({ x, a, u, rows, cols, r, precision, ...(dropout && { dropout }) });
  return u;
}
