/**
 * What a training learns: a loss over the rows that it brings to a pass. An objective is a file of its own beside this one; step and trainer
 * know none of them. Everything stays on the device, what rows count among it, so that no step waits for the host.
 */

import type { CausalLM } from '../models/model.js';
import { headLoss, type HeadRows } from '../ops/cross-entropy.js';
import type { LinearWeights } from '../ops/linear.js';
import type { AdapterPairs, Pass } from '../ops/pass.js';
import type { Tensor } from '../tensor/tensor.js';
import type { FlatBatch } from './batch.js';

/** A loss of a pass's rows: `CROSS_ENTROPY` is one. */
export interface Objective {
  readonly name: string;
  /** What of a batch the loss is a mean over: its trained tokens, or its pairs of texts. */
  count(batch: FlatBatch): number;
  /** What is known before the pass: another model's losses for the batch, or logits. Absent: nothing. */
  prepare?(model: CausalLM, batch: FlatBatch, options: PrepareOptions): Promise<readonly Float32Array[]>;
  /** Asks for the loss of a member's rows, and for its gradient where `rows.dHidden` is given. */
  loss(g: Pass, rows: ObjectiveRows): ObjectiveLoss;
}

/** How the trained model reads the batch that an objective prepares for. */
export interface PrepareOptions {
  readonly precision: 'f32' | 'bf16';
  /** The adapter that is trained. */
  readonly pairs: AdapterPairs | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A member's rows of a pass: first … first + batch.ids.length - 1. */
export interface ObjectiveRows extends Pick<HeadRows, 'member' | 'first'> {
  readonly batch: FlatBatch;
  /** What `prepare` gave. */
  readonly prepared: readonly Float32Array[];
  /** [rows of the pass, dim], after the last norm. */
  readonly hidden: Tensor;
  readonly head: LinearWeights;
  /** Of hidden's shape, zeros in the member's rows: gets d(gradScale · sum of losses) / d hidden. `headLoss` writes it. */
  readonly dHidden?: Tensor | undefined;
  /** 1 / what the whole accumulated step counts. */
  readonly gradScale: number;
}

/** f32 each, `g`'s: their sums over a step, over its count, are the step's figures. */
export interface ObjectiveLoss {
  readonly losses: Tensor;
  /** Further figures, by the names that they have in a step's record. */
  readonly scalars?: Readonly<Record<string, Tensor>>;
}

/**
 * The mean negative log-likelihood of the trained tokens, or, smoothed, of targets that are a token but for a share that all have alike
 * (Szegedy et al., arXiv:1512.00567).
 */
export function crossEntropy(label_smoothing_factor = 0): Objective {
  const smoothing = label_smoothing_factor === 0 ? {} : { smoothing: label_smoothing_factor };
  return {
    name: 'cross_entropy',
    count: ({ trainedTokens }) => trainedTokens,
    loss: (g, { hidden, head, batch: { targets }, dHidden, ...rows }) => ({
      losses: headLoss(g, hidden, head, { ...rows, targets, ...smoothing }, dHidden),
    }),
  };
}

/** The mean negative log-likelihood of the trained tokens. */
export const CROSS_ENTROPY = crossEntropy();
