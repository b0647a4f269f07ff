/** Blocks of tokens laid out as a pass takes them: one behind the other without padding, of one training or of several. */

import { IGNORE_INDEX, type Block } from '../data/index.js';
import { readsByEncoder, type CausalLM, type ModelInput } from '../models/model.js';
import { checkPositions, checkTokens } from '../models/tokens.js';
import type { Member, Pass } from '../ops/pass.js';
import { checkInt32Array, checkLengths, checkWhole } from '../util/checks.js';

/** What the encoder reads, where the model has one: its own rows, in segments numbered as the decoder's. */
interface FlatEncoder {
  readonly ids: Int32Array;
  readonly segments: Int32Array;
  /** The length of the text that a row stands in. */
  readonly lengths: Int32Array;
}

/** Blocks one behind the other without padding; `targets[i]` is the token that row i should predict, or -100. */
export interface FlatBatch {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
  readonly targets: Int32Array;
  /** The length of the text, or of the joined texts, that a row stands in. */
  readonly lengths: Int32Array;
  readonly trainedTokens: number;
  /** Of a mixture's blocks: the source of each trained target, in the order of the rows. */
  readonly sources?: Int32Array | undefined;
  readonly encoder?: FlatEncoder | undefined;
}

/** Rows of a pass, the encoder's too. */
export function rowsOf(of: {
  readonly size?: number | undefined;
  readonly ids: Int32Array;
  readonly encoder?: { readonly ids: Int32Array } | undefined;
}): number {
  return of.size ?? of.ids.length + (of.encoder?.ids.length ?? 0);
}

/** Throws RangeError or TypeError for blocks whose arrays are not all Int32Arrays of one length. */
export function flatten(blocks: readonly Block[]): FlatBatch {
  for (const { ids, labels, positions, segments, sources = ids, encoder } of blocks) {
    checkRows({ ids, labels, positions, segments, sources });
    if (encoder) checkRows({ ids: encoder.ids, segments: encoder.segments });
  }
  const rows = blocks.reduce((n, b) => n + b.ids.length, 0);
  const make = (): Int32Array => new Int32Array(rows);
  const [ids, positions, segments, targets, lengths] = [make(), make(), make(), make(), make()];
  let at = 0;
  let segment = -1;
  let trainedTokens = 0;
  const sources: number[] = [];
  for (const block of blocks) {
    for (let i = 0; i < block.ids.length; i++, at++) {
      if (i === 0 || block.segments[i] !== block.segments[i - 1]) segment++;
      ids[at] = block.ids[i]!;
      positions[at] = block.positions[i]!;
      segments[at] = segment;
      const sameText = i + 1 < block.ids.length && block.segments[i + 1] === block.segments[i];
      const target = sameText ? block.labels[i + 1]! : IGNORE_INDEX;
      targets[at] = target;
      if (target >= 0) {
        trainedTokens++;
        if (block.sources) sources.push(block.sources[i + 1]!);
      }
    }
  }
  fillLengths(segments, lengths);
  return {
    ...{ ids, positions, segments, targets, lengths, trainedTokens },
    ...(blocks[0]?.sources && { sources: Int32Array.from(sources) }),
    encoder: flatEncoder(blocks),
  };
}

function fillLengths(segments: Int32Array, lengths: Int32Array): void {
  const rows = segments.length;
  for (let start = 0, end; start < rows; start = end) {
    for (end = start + 1; end < rows && segments[end] === segments[start];) end++;
    lengths.fill(end - start, start, end);
  }
}

function flatEncoder(blocks: readonly Block[]): FlatEncoder | undefined {
  const parts = blocks.flatMap(({ encoder }) => encoder ?? []);
  if (parts.length === 0) return undefined;
  const rows = parts.reduce((n, { ids }) => n + ids.length, 0);
  const [ids, segments, lengths] = [new Int32Array(rows), new Int32Array(rows), new Int32Array(rows)];
  let [at, before] = [0, 0];
  for (const block of blocks) {
    const { encoder } = block;
    if (!encoder) throw new Error('blocks with and without texts for an encoder do not go together');
    ids.set(encoder.ids, at);
    segments.set(
      encoder.segments.map((s) => s + before),
      at,
    );
    at += encoder.ids.length;
    before += block.segments.at(-1)! + 1;
  }
  fillLengths(segments, lengths);
  return { ids, segments, lengths };
}

/** Batches one behind the other. */
export function joinBatches(batches: readonly FlatBatch[]): FlatBatch {
  if (batches.length === 1) return batches[0]!;
  const all = (of: (batch: FlatBatch) => Int32Array): Int32Array => {
    const parts = batches.map(of);
    const joined = new Int32Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  };
  const renumbered = (of: (batch: FlatBatch) => Int32Array): Int32Array => {
    let segments = 0;
    return all((b) => {
      const before = segments;
      segments += (b.segments.at(-1) ?? -1) + 1;
      return of(b).map((s) => s + before);
    });
  };
  return {
    ids: all((b) => b.ids),
    positions: all((b) => b.positions),
    segments: renumbered((b) => b.segments),
    targets: all((b) => b.targets),
    lengths: all((b) => b.lengths),
    trainedTokens: batches.reduce((n, b) => n + b.trainedTokens, 0),
    ...(batches[0]!.encoder && {
      encoder: {
        ids: all((b) => b.encoder!.ids),
        segments: renumbered((b) => b.encoder!.segments),
        lengths: all((b) => b.encoder!.lengths),
      },
    }),
  };
}

/** Int32Arrays of one length, that of `ids`. */
function checkRows({
  ids,
  ...others
}: Readonly<Record<string, Int32Array>> & { readonly ids: Int32Array }): void {
  for (const [name, array] of Object.entries({ ids, ...others })) checkInt32Array(name, array);
  checkLengths(ids.length, others);
}

/** Segments are numbered upwards: what is of one segment stands together. */
function checkSegments(segments: Int32Array): void {
  for (let i = 0, before = 0; i < segments.length; before = segments[i++]!)
    checkWhole(`segments[${i}]`, segments[i], before);
}

/** Throws for arrays that are not all of one kind, and for tokens and positions that the model does not have. */
export function checkBatch(
  model: CausalLM,
  { ids, positions, segments, targets, lengths, encoder }: FlatBatch,
  pairs: Member['pairs'],
): void {
  checkRows({ ids, positions, segments, targets, lengths });
  checkWhole('the number of rows', ids.length, 1);
  checkPositions(positions);
  checkSegments(segments);
  if (encoder) {
    checkRows({ ids: encoder.ids, segments: encoder.segments, lengths: encoder.lengths });
    checkSegments(encoder.segments);
  }
  if ((encoder !== undefined) !== readsByEncoder(model))
    throw new Error('texts for an encoder go with a model that has one');
  checkTokens(model, ids, pairs);
  if (encoder) checkTokens(model, encoder.ids, pairs);
  checkTokens(model, targets, pairs, IGNORE_INDEX);
}

/** Uploads a batch as a model takes it. */
export function modelInput(
  g: Pass,
  batch: Omit<FlatBatch, 'targets' | 'lengths' | 'trainedTokens' | 'sources'>,
): ModelInput {
  return {
    ids: g.from(batch.ids),
    positions: g.from(batch.positions),
    segments: g.from(batch.segments),
    ...(batch.encoder && {
      encoder: { ids: g.from(batch.encoder.ids), segments: g.from(batch.encoder.segments) },
    }),
    length: batch.positions.reduce((a, b) => Math.max(a, b), 0) + 1,
  };
}
