/** One forward and backward pass over a few blocks of tokens. */

import { Graph } from '../autograd/graph.js';
import { IGNORE_INDEX, type Block } from '../data/index.js';
import { headLoss } from '../ops/cross-entropy.js';
import type { CausalLM, ModelInput } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import type { Neftune } from '../ops/embedding.js';

export interface StepOptions {
  readonly seed: number;
  /** The number of this pass in the whole run: it fixes dropout's and NEFTune's masks. */
  readonly pass: number;
  readonly bf16: boolean;
  readonly gradient_checkpointing: boolean;
  /** 0: none. */
  readonly neftune_noise_alpha: number;
}

/** NEFTune's stream; the LoRA modules' are hashes of their names. */
const NEFTUNE_STREAM = 1;

/** Blocks one behind the other without padding; `targets[i]` is the token that row i should predict, or -100. */
export interface FlatBatch {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
  readonly targets: Int32Array;
  /** The length of the text, or of the joined texts, that a row stands in. */
  readonly lengths: Int32Array;
  readonly trainedTokens: number;
}

export function flatten(blocks: readonly Block[]): FlatBatch {
  const rows = blocks.reduce((n, b) => n + b.ids.length, 0);
  const make = (): Int32Array => new Int32Array(rows);
  const [ids, positions, segments, targets, lengths] = [make(), make(), make(), make(), make()];
  let at = 0;
  let segment = -1;
  let trainedTokens = 0;
  for (const block of blocks) {
    for (let i = 0; i < block.ids.length; i++, at++) {
      if (i === 0 || block.segments[i] !== block.segments[i - 1]) segment++;
      ids[at] = block.ids[i]!;
      positions[at] = block.positions[i]!;
      segments[at] = segment;
      const sameText = i + 1 < block.ids.length && block.segments[i + 1] === block.segments[i];
      const target = sameText ? block.labels[i + 1]! : IGNORE_INDEX;
      targets[at] = target;
      if (target >= 0) trainedTokens++;
    }
  }
  for (let start = 0, end; start < rows; start = end) {
    for (end = start + 1; end < rows && segments[end] === segments[start];) end++;
    lengths.fill(end - start, start, end);
  }
  return { ids, positions, segments, targets, lengths, trainedTokens };
}

/**
 * Adds gradScale · d(sum of the rows' losses) to the gradients of the parameters that are trained: asks the backend for it at once and
 * waits for nothing.
 * @returns each trained row's loss, when it is there
 */
export function forwardBackward(
  model: CausalLM,
  batch: FlatBatch,
  gradScale: number,
  options: StepOptions,
): Promise<Float32Array> {
  checkBatch(model, batch);
  const g = new Graph(model.backend, {
    training: true,
    precision: options.bf16 ? 'bf16' : 'f32',
    seed: options.seed,
    step: options.pass,
  });
  try {
    const hidden = model.forward(g, {
      ...modelInput(g, batch),
      gradientCheckpointing: options.gradient_checkpointing,
      ...neftuneOf(g, model, batch, options.neftune_noise_alpha),
    });
    const { losses, dHidden } = headLoss(g, hidden, model.head, batch.targets, gradScale);
    g.own(losses);
    if (dHidden) g.backward(hidden, dHidden);
    return losses.toFloat32();
  } finally {
    g.close();
  }
}

/** The rows' losses alone, as an evaluation wants them: no dropout, no noise, no gradient. */
export async function evaluateLoss(
  model: CausalLM,
  batch: FlatBatch,
  precision: 'f32' | 'bf16' = 'f32',
): Promise<Float32Array> {
  checkBatch(model, batch);
  const g = new Graph(model.backend, { precision });
  try {
    const hidden = model.forward(g, modelInput(g, batch));
    return await g.own(headLoss(g, hidden, model.head, batch.targets, 0).losses).toFloat32();
  } finally {
    g.close();
  }
}

function checkBatch(model: CausalLM, { ids, targets }: FlatBatch): void {
  checkTokens(model, ids);
  checkTokens(model, targets, IGNORE_INDEX);
}

export function modelInput(
  g: Graph,
  batch: Omit<FlatBatch, 'targets' | 'lengths' | 'trainedTokens'>,
): ModelInput {
  return {
    ids: g.from(batch.ids),
    positions: g.from(batch.positions),
    segments: g.from(batch.segments),
    length: batch.positions.reduce((a, b) => Math.max(a, b), 0) + 1,
  };
}

function neftuneOf(g: Graph, model: CausalLM, { lengths }: FlatBatch, alpha: number): { neftune?: Neftune } {
  if (alpha === 0) return {};
  const magnitude = Float32Array.from(
    lengths,
    (length) => alpha / Math.sqrt(length * model.config.hidden_size),
  );
  return { neftune: { magnitude: g.from(magnitude), stream: NEFTUNE_STREAM } };
}
