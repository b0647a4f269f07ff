/**
 * The output head and the loss in one operation: logits exist for a few rows at a time and turn into their own gradient in place, so
 * that memory does not grow with length times vocabulary; rows without a target cost nothing at all.
 */

import type { Graph } from '../autograd/graph.js';
import { Tensor } from '../tensor/tensor.js';
import { linearBackward, linearForward, type LinearWeights } from './linear.js';

/** Bytes of logits that exist at a time: enough to keep busy a device of thousands of threads, or one of tens. */
const LOGITS_BYTES = { bf16: 256 << 20, f32: 64 << 20 } as const;

export interface HeadLoss {
  /** f32 [trained rows]: each target's negative log-likelihood, in the order of the rows. The caller releases it. */
  readonly losses: Tensor;
  /** d(gradScale · sum of losses) / d hidden, [rows, dim]; there in training only. The caller takes it over. */
  readonly dHidden: Tensor | undefined;
}

/**
 * @param hidden [rows, dim], after the last norm
 * @param targets one a row; negative: no loss there
 * @param gradScale what each row's loss counts: 1 / trained tokens of the whole accumulated batch
 */
export function headLoss(
  g: Graph,
  hidden: Tensor,
  head: LinearWeights,
  targets: Int32Array,
  gradScale: number,
): HeadLoss {
  const dim = head.inFeatures;
  const vocab = head.outFeatures;
  const trained = Int32Array.from(targets.keys()).filter((row) => targets[row]! >= 0);
  const losses = Tensor.empty(g.backend, [trained.length]);
  const dHidden = g.training ? Tensor.zeros(g.backend, hidden.shape, g.activations) : undefined;
  const chunk = Math.max(16, Math.floor(LOGITS_BYTES[g.activations] / (4 * vocab)));
  for (let first = 0; first < trained.length; first += chunk) {
    g.scope(() => {
      const rows = trained.subarray(first, first + chunk);
      const index = g.from(rows);
      const x = g.empty([rows.length, dim]);
      g.kernels.gatherRows({ x: hidden, index, y: x, rows: rows.length, dim });
      x.needsGrad = hidden.needsGrad;
      const { y: logits, u } = linearForward(g, x, head, { firstRow: first, output: 'f32' });
      const dLogits = g.activations === 'f32' ? logits : g.empty(logits.shape);
      const wanted = g.from(rows.map((row) => targets[row]!));
      const part = g.own(losses.view([rows.length], first));
      g.kernels.crossEntropy({
        logits,
        targets: wanted,
        losses: part,
        rows: rows.length,
        vocab,
        ...(g.training && { gradient: { to: dLogits, scale: gradScale } }),
      });
      if (dHidden) {
        linearBackward(g, dLogits, x, u, head, first);
        const dx = g.takeGrad(x);
        if (dx) {
          g.kernels.scatterRows({ x: dx, index, y: dHidden, rows: rows.length, dim });
          dx.release();
        }
      }
      return undefined;
    });
  }
  return { losses, dHidden };
}
