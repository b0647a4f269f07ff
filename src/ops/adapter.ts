/**
 * What fine-tuning puts on one Linear, as the operation in src/ops/linear.ts asks for it: y = factor ⊙ (x·Wᵀ + addition) + bias + residual,
 * where the addition is a thin product of an inner activation of x, and the factor, one a column, is there for kinds that scale what the
 * layer makes (DoRA, arXiv:2402.09353). A kind of adapter is a class of these; what the rows of other trainings are, it never sees.
 */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { RandomStream, ThinProduct } from '../backends/kernels.js';
import type { Matrix, Span } from '../backends/span.js';
import type { Tensor } from '../tensor/tensor.js';

export interface LinearAdapter {
  /** All that is trained of it. */
  readonly parameters: readonly Parameter[];
  /** The inner activation u [rows, k] of x [rows, in], which the backward wants again. */
  inner(g: Graph, x: Span, rows: AdapterRows): Tensor;
  /** u's product, which is added to the large one. */
  addition(u: Tensor): Omit<ThinProduct, 'first' | 'rows'>;
  /**
   * Adds to the gradients of its parameters, from dy [rows, out] behind the factor.
   * @returns what adds its part of x's gradient, and what of its own only then is known; called once, without dx where nobody wants that
   */
  backward(
    g: Graph,
    of: { readonly dy: Span; readonly x: Span; readonly u: Tensor },
    rows: AdapterRows,
  ): (dx?: Span, accumulate?: boolean) => void;
  /** The factors over a weight [out, in], where it has such. */
  factor?(g: Graph, weight: Matrix): ColumnFactor;
}

/** The rows of x that an adapter is asked about. */
export interface AdapterRows {
  readonly rows: number;
  /** The number of the first, for random masks. */
  readonly firstRow: number;
  /** The training's seed and the number of its forward pass. */
  readonly draws: Pick<RandomStream, 'seed' | 'step'>;
  /** See `GemmArgs.path`. */
  readonly path: 'tiles' | 'rows';
}

/** What each column is multiplied by. Its tensors are the scope's. */
export interface ColumnFactor {
  /** What the backward wants again. */
  readonly saved: readonly Tensor[];
  /** y += (factor - 1) ⊙ z: product and addition z [rows, out] stand in y already. */
  apply(g: Graph, z: Span, y: Span): void;
  /** dz = factor ⊙ dy; adds to the gradients of what the factor is made of. dz has the contents of dy before. */
  backward(g: Graph, of: { readonly dy: Span; readonly z: Span; readonly dz: Span }): void;
}
