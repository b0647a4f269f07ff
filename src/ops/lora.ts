/** LoRA (Hu et al., arXiv:2106.09685) on a Linear: scaling · dropout(x)·Aᵀ·Bᵀ, whose thin products ride along with the large one. */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Backend } from '../backends/contract.js';
import type { Dropout, ThinProduct } from '../backends/kernels.js';
import type { Matrix, Span } from '../backends/span.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AdapterRows, LinearAdapter } from './adapter.js';

export interface LoraOptions {
  /** alpha / r, or alpha / sqrt(r) with rsLoRA (arXiv:2312.03732). */
  readonly scaling: number;
  readonly dropout: number;
  /** The stream of this module's dropout masks. */
  readonly stream: number;
}

export class Lora implements LinearAdapter {
  readonly parameters: readonly Parameter[];

  /** A f32 [r, in], B f32 [out, r]. */
  constructor(
    private readonly a: Parameter,
    private readonly b: Parameter,
    private readonly options: LoraOptions,
  ) {
    this.parameters = [a, b];
  }

  /** u = dropout(x)·Aᵀ */
  inner(g: Graph, x: Span, rows: AdapterRows): Tensor {
    const { precision } = g;
    const a = this.a.value;
    const [r, cols] = a.shape as [number, number];
    const u = g.empty([rows.rows, r]);
    const dropout = this.dropout(g, rows);
    if (rows.path === 'rows') {
      const b: Matrix = { kind: 'dense', rows: r, cols, data: a };
      const product = { m: rows.rows, n: r, k: cols, a: x, b, transB: true, c: u };
      g.kernels.gemm({ ...product, path: rows.path, precision });
    } else g.kernels.loraDown({ x, a, u, rows: rows.rows, cols, r, precision, ...(dropout && { dropout }) });
    return u;
  }

  addition(u: Tensor): Omit<ThinProduct, 'first' | 'rows'> {
    const b = this.b.value;
    return { k: b.shape[1]!, a: u, b, alpha: this.options.scaling };
  }

  backward(
    g: Graph,
    { dy, x, u }: { readonly dy: Span; readonly x: Span; readonly u: Tensor },
    rows: AdapterRows,
  ): (dx?: Span, accumulate?: boolean) => void {
    const { precision } = g;
    const { a, b } = this;
    const [r, inFeatures] = a.value.shape as [number, number];
    const du = g.empty([rows.rows, r]);
    const up = { rows: rows.rows, cols: b.value.shape[0]!, r, precision, alpha: this.options.scaling, dy };
    g.kernels.loraUpBackward({ ...up, u, b: b.value, du, ...(b.grad && { dB: b.grad }) });
    const dropout = this.dropout(g, rows);
    const down = { rows: rows.rows, cols: inFeatures, r, precision, x, du, a: a.value };
    return (dx, accumulate = false) => {
      const into = { ...(a.grad && { dA: a.grad }), ...(dx && { dx }), accumulate };
      g.kernels.loraDownBackward({ ...down, ...into, ...(dropout && { dropout }) });
    };
  }

  /** The mask on its input. */
  private dropout(g: Graph, { firstRow, draws }: AdapterRows): Dropout | undefined {
    const { dropout: p, stream } = this.options;
    if (p === 0 || !g.training) return undefined;
    const { seed, step } = draws;
    return { p, random: { seed, stream, step }, firstElement: firstRow * this.a.value.shape[1]! };
  }
}

/** Adds scaling · B·A to a weight, f32 [out, in]: A f32 [r, in], B f32 [out, r]. */
export function addUpdate({ kernels }: Backend, weight: Span, a: Tensor, b: Tensor, scaling: number): void {
  const [r, inFeatures] = a.shape as [number, number];
  const right: Matrix = { kind: 'dense', rows: r, cols: inFeatures, data: a };
  const product = { m: b.shape[0]!, n: inFeatures, k: r, a: b, b: right, c: weight };
  kernels.gemm({ ...product, alpha: scaling, accumulate: true });
}
