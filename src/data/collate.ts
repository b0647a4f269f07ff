/** Blocks side by side in one right-padded batch, with the targets of next-token prediction. */
import { IGNORE_INDEX, isTrained, type Block } from './packing.js';

/** All arrays are [B, T], row after row. */
export interface Batch {
  readonly B: number;
  readonly T: number;
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** What position t has to predict: labels[t + 1], or -100 on padding and at the end of a segment. */
  readonly targets: Int32Array;
  readonly positions: Int32Array;
  /** -1 on padding. */
  readonly segments: Int32Array;
  /** How many targets are not -100. */
  readonly trainedTokens: number;
  /** The data set's rows in the batch. */
  readonly rows: readonly number[];
}

export interface CollateOptions {
  readonly padTokenId: number;
  /** T at least; the default is the longest block. */
  readonly padTo?: number | undefined;
}

export function collate(blocks: readonly Block[], { padTokenId, padTo = 0 }: CollateOptions): Batch {
  const B = blocks.length;
  const T = blocks.reduce((longest, block) => Math.max(longest, block.ids.length), padTo);
  const filled = (value: number): Int32Array => new Int32Array(B * T).fill(value);
  const batch = {
    ids: filled(padTokenId),
    labels: filled(IGNORE_INDEX),
    targets: filled(IGNORE_INDEX),
    positions: filled(0),
    segments: filled(-1),
  };
  for (const [b, block] of blocks.entries()) {
    batch.ids.set(block.ids, b * T);
    batch.labels.set(block.labels, b * T);
    batch.targets.set(blockTargets(block), b * T);
    batch.positions.set(block.positions, b * T);
    batch.segments.set(block.segments, b * T);
  }
  const trainedTokens = batch.targets.reduce((n, target) => n + (isTrained(target) ? 1 : 0), 0);
  return { B, T, ...batch, trainedTokens, rows: [...new Set(blocks.flatMap((block) => block.rows))] };
}

function blockTargets({ labels, segments }: Block): Int32Array {
  return labels.map((_, t) => (segments[t + 1] === segments[t] ? labels[t + 1]! : IGNORE_INDEX));
}
