/**
 * The output head and the loss in one operation: logits exist for a few rows at a time and turn into their own gradient in place, so
 * that memory does not grow with length times vocabulary; rows without a target cost nothing at all.
 */

import type { Member, Pass } from './pass.js';
import type { Span } from '../backends/span.js';
import { slice, Tensor } from '../tensor/tensor.js';
import { linearBackward, linearForward, weightOf, type LinearWeights } from './linear.js';

/** Bytes of logits that exist at a time: enough to keep busy a device of thousands of threads, or one of tens. */
const LOGITS_BYTES = { bf16: 256 << 20, f32: 64 << 20 } as const;

/** One member's rows, first … first + targets.length - 1. */
export interface HeadRows {
  readonly member: Member;
  readonly first: number;
  /** One a row; negative: no loss there. */
  readonly targets: Int32Array;
  /** What each row's loss counts: 1 / trained tokens of the whole accumulated batch. */
  readonly gradScale: number;
  /** Share of each target that all tokens have alike; absent: 0. */
  readonly smoothing?: number | undefined;
  /** f32 [trained rows], on the device: what the gradient of each of them counts beside that. Absent: 1. */
  readonly weights?: Span | undefined;
}

/**
 * @param hidden [rows, dim], after the last norm
 * @param dHidden of hidden's shape, zeros, in training: gets d(gradScale · sum of weighted losses) / d hidden
 * @returns f32 [trained rows]: each target's negative log-likelihood, or what smoothing makes of it, without its weight, in the order of the rows; belongs to `g`
 */
export function headLoss(
  g: Pass,
  hidden: Tensor,
  head: LinearWeights,
  { member, first: start, targets, gradScale, smoothing, weights }: HeadRows,
  dHidden?: Tensor,
): Tensor {
  const dim = head.inFeatures;
  const vocab = weightOf(g, head, { member }).rows;
  const trained = Int32Array.from(targets.keys()).filter((row) => targets[row]! >= 0);
  const losses = g.own(Tensor.empty(g.backend, [trained.length]));
  const chunk = Math.max(16, Math.floor(LOGITS_BYTES[g.activations] / (4 * vocab)));
  for (let first = 0; first < trained.length; first += chunk) {
    g.scope(() => {
      const rows = trained.subarray(first, first + chunk);
      const index = g.from(rows.map((row) => start + row));
      const piece = { member, firstRow: first };
      const x = g.empty([rows.length, dim]);
      g.kernels.gatherRows({ x: hidden, index, y: x, rows: rows.length, dim });
      x.needsGrad = hidden.needsGrad;
      const { y: logits, ridden } = linearForward(g, x, head, { piece, output: 'f32' });
      const dLogits = g.activations === 'f32' ? logits : g.empty(logits.shape);
      const wanted = g.from(rows.map((row) => targets[row]!));
      g.kernels.crossEntropy({
        logits,
        targets: wanted,
        losses: slice(losses, first, rows.length),
        rows: rows.length,
        ...{ vocab, smoothing },
        ...(dHidden && { gradient: { to: dLogits, scale: gradScale } }),
      });
      if (dHidden) {
        const own = weights && slice(weights, first, rows.length);
        linearBackward(g, own ? weighted(g, dLogits, own) : dLogits, x, ridden, head, { piece });
        const dx = g.takeGrad(x);
        if (dx) {
          g.kernels.scatterRows({ x: dx, index, y: dHidden, rows: rows.length, dim });
          dx.release();
        }
      }
      return undefined;
    });
  }
  return losses;
}

/** Rows of x times their weights: a product with a diagonal matrix, which for the rows of a piece is small beside the head's. */
function weighted(g: Pass, x: Tensor, weights: Span): Tensor {
  const [rows, cols] = x.shape as [number, number];
  const diagonal = g.empty([rows * rows], 'f32');
  g.kernels.fill({ y: diagonal, n: rows * rows, value: 0 });
  const index = g.from(Int32Array.from({ length: rows }, (_, i) => i * (rows + 1)));
  g.kernels.scatterRows({ x: weights, index, y: diagonal, rows, dim: 1 });
  const b = { kind: 'dense', rows, cols, data: x } as const;
  const y = g.empty([rows, cols], 'f32');
  g.kernels.gemm({ m: rows, n: cols, k: rows, a: diagonal, b, c: y });
  if (x.dtype === 'f32') return y;
  const result = g.empty(x.shape, x.dtype);
  g.kernels.convert({ x: y, y: result, n: y.length });
  return result;
}
