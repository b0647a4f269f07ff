/** One forward and backward pass over a few blocks of tokens. */

import { Graph, randomOf, type Member } from '../autograd/graph.js';
import { IGNORE_INDEX, type Block } from '../data/index.js';
import { headLoss } from '../ops/cross-entropy.js';
import type { CausalLM, ModelInput } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import type { Neftune } from '../ops/embedding.js';
import { Tensor } from '../tensor/tensor.js';

/** What one training brings to a pass. */
export interface PassMember {
  readonly batch: FlatBatch;
  /** What each row's loss counts: 1 / trained tokens of the whole accumulated batch. */
  readonly gradScale: number;
  readonly seed: number;
  /** The number of this pass in its whole run: it fixes dropout's and NEFTune's masks. */
  readonly pass: number;
  /** 0: none. */
  readonly neftune_noise_alpha: number;
  /** Its adapter's; absent: what is attached to the model. */
  readonly pairs?: Member['pairs'];
}

/** What all members of a pass share. */
export interface PassOptions {
  readonly bf16: boolean;
  readonly gradient_checkpointing: boolean;
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
 * Adds gradScale · d(sum of its rows' losses) to the gradients of what each member trains, which get the bits that they get from a pass of
 * its own on a backend whose rows have the same bits in any batch: asks the backend for it at once and waits for nothing.
 * @returns for each member its trained rows' losses, when they are there
 */
export function forwardBackward(
  model: CausalLM,
  members: readonly PassMember[],
  { bf16, gradient_checkpointing }: PassOptions,
): Promise<Float32Array>[] {
  const whole = join(members.map(({ batch }) => batch));
  checkBatch(model, whole);
  const slices = members.map(({ batch, seed, pass, pairs }) => ({
    ...{ rows: batch.ids.length, seed, step: pass, pairs },
  }));
  const g = new Graph(model.backend, {
    training: true,
    precision: bf16 ? 'bf16' : 'f32',
    members: slices,
  });
  try {
    const hidden = model.forward(g, {
      ...modelInput(g, whole),
      gradientCheckpointing: gradient_checkpointing,
      neftune: neftuneOf(g, model, members),
    });
    const dHidden = Tensor.zeros(g.backend, hidden.shape, g.activations);
    let first = 0;
    const losses = members.map(({ batch: { targets }, gradScale }, i) => {
      const rows = { member: slices[i]!, first, targets, gradScale };
      first += targets.length;
      return headLoss(g, hidden, model.head, rows, dHidden);
    });
    g.backward(hidden, dHidden);
    return losses.map((l) => l.toFloat32());
  } finally {
    g.close();
  }
}

/** Batches one behind the other. */
function join(batches: readonly FlatBatch[]): FlatBatch {
  if (batches.length === 1) return batches[0]!;
  const all = (of: (batch: FlatBatch) => Int32Array): Int32Array => {
    const joined = new Int32Array(batches.reduce((n, { ids }) => n + ids.length, 0));
    let at = 0;
    for (const batch of batches) {
      joined.set(of(batch), at);
      at += batch.ids.length;
    }
    return joined;
  };
  let segments = 0;
  return {
    ids: all((b) => b.ids),
    positions: all((b) => b.positions),
    segments: all((b) => {
      const before = segments;
      segments += (b.segments.at(-1) ?? -1) + 1;
      return b.segments.map((s) => s + before);
    }),
    targets: all((b) => b.targets),
    lengths: all((b) => b.lengths),
    trainedTokens: batches.reduce((n, b) => n + b.trainedTokens, 0),
  };
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
    const rows = { member: g.members[0]!, first: 0, targets: batch.targets, gradScale: 0 };
    return await headLoss(g, hidden, model.head, rows).toFloat32();
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

function neftuneOf(g: Graph, model: CausalLM, members: readonly PassMember[]): Neftune[] {
  let first = 0;
  return members.flatMap(({ batch: { lengths }, neftune_noise_alpha: alpha }, i) => {
    const start = first;
    first += lengths.length;
    if (alpha === 0) return [];
    const magnitude = g.from(
      Float32Array.from(lengths, (length) => alpha / Math.sqrt(length * model.config.hidden_size)),
    );
    return [{ first: start, magnitude, random: randomOf(g.members[i]!, NEFTUNE_STREAM) }];
  });
}
