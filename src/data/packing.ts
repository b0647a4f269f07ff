/**
 * From tokenized texts to the blocks that a model trains on. Three ways: every text a block of its own; texts joined by EOS and cut at
 * the block length, attention running across (as TRL's constant-length packing); and isolated packing, where several whole texts share a
 * block but neither positions nor attention nor loss cross from one to the next, so that the losses are those of the unpacked texts. For a
 * model with an encoder a text is a pair: what the encoder reads, and what the decoder writes; pairs are never joined into one.
 */
import { checkInt32, checkWhole } from '../util/checks.js';
import { UserError } from '../util/errors.js';
import { atOnce } from '../util/turns.js';

/** The label of a token that is not trained on. */
export const IGNORE_INDEX = -100;

/** One row of the data set as tokens. */
export interface Example {
  /** For a model with an encoder: its text, whole. */
  readonly encoderIds?: ArrayLike<number>;
  readonly ids: ArrayLike<number>;
  /** As long as `ids`: the token itself, or -100 where it is not trained on. */
  readonly labels: ArrayLike<number>;
  /** The row's number in the data set. */
  readonly row: number;
  /** Which of a mixture's sources it is of, from 0; of all examples or of none. */
  readonly source?: number | undefined;
}

/** Unpadded tokens, at most the block length of them. All arrays but `rows` and the encoder's are equally long. */
export interface Block {
  /** The tokens, and the encoder's, of a block whose arrays are read from a file when they are asked for. */
  readonly size?: number | undefined;
  /** For a model with an encoder: its texts, at most the block length of tokens, too, with the numbers of the segments that read them. */
  readonly encoder?: { readonly ids: Int32Array; readonly segments: Int32Array } | undefined;
  readonly ids: Int32Array;
  /** Unshifted: labels[t] belongs to ids[t], and is what position t − 1 has to predict. */
  readonly labels: Int32Array;
  /** For the rotary embedding; begins at 0 with each segment. */
  readonly positions: Int32Array;
  /** Attention and loss stay within a segment. Numbered from 0. */
  readonly segments: Int32Array;
  /** The rows that the block holds tokens of. */
  readonly rows: readonly number[];
  /** Of a mixture: the source of each token. */
  readonly sources?: Int32Array | undefined;
}

/** What all ways of packing take. */
export interface PackingOptions {
  /** The most tokens that a block holds. */
  readonly length: number;
  /** How a message shows a row; the default is its number. */
  readonly describeRow?: ((row: number) => string) | undefined;
}

/** How `packConcat` fills blocks: texts one behind the other, an end token behind each. */
export interface ConcatOptions extends PackingOptions {
  readonly eosTokenId: number;
  /** Leaves out the last block where it is shorter than `length`. The default is false. */
  readonly dropLast?: boolean | undefined;
}

/**
 * Each text cut at `length` in a block of its own, in the order given.
 * @throws UserError for a text of which nothing is trained on
 */
export function unpacked(examples: readonly Example[], options: PackingOptions): Block[] {
  checkWhole('length', options.length, 1);
  return examples.map((example) => isolatedBlock([truncated(example, options)]));
}

/**
 * Whole texts, each cut at `length`, several to a block: best-fit decreasing, which wastes little and depends on lengths and order alone.
 * @throws UserError for a text of which nothing is trained on
 */
export function packIsolated(examples: readonly Example[], options: PackingOptions): Block[] {
  checkWhole('length', options.length, 1);
  const texts = examples.map((example) => truncated(example, options));
  return atOnce(binsOf(texts.map(sizeOf), options.length)).map((bin) =>
    isolatedBlock(bin.map((index) => texts[index]!)),
  );
}

/** Which texts of these sizes stand in a block together, by their numbers, which rise in each. In pieces, for `inTurns`. */
export function* binsOf(sizes: ArrayLike<number>, length: number): Generator<void, number[][], void> {
  const open = new OpenBins();
  for (const [i, index] of longestFirst(sizes).entries()) {
    if (i % 1024 === 1023) yield;
    const size = sizes[index]!;
    const { bin, space } = open.take(size) ?? { bin: [], space: length };
    bin.push(index);
    open.put(bin, space - size);
  }
  const byFirst = new Array<number[]>(sizes.length);
  for (const [i, bin] of open.all().entries()) {
    if (i % 1024 === 1023) yield;
    byFirst[bin.sort((a, b) => a - b)[0]!] = bin;
  }
  // Holes are left out.
  return Object.values(byFirst);
}

/** The numbers of sizes, the largest first, of equal ones the first: counted, since a million take a second to compare. */
function longestFirst(sizes: ArrayLike<number>): Int32Array {
  let most = 0;
  for (let i = 0; i < sizes.length; i++) most = Math.max(most, sizes[i]!);
  const starts = new Int32Array(most + 2);
  for (let i = 0; i < sizes.length; i++) starts[most - sizes[i]! + 1]!++;
  for (let size = 0; size <= most; size++) starts[size + 1]! += starts[size]!;
  const order = new Int32Array(sizes.length);
  for (let i = 0; i < sizes.length; i++) order[starts[most - sizes[i]!]!++] = i;
  return order;
}

/** Bins by the tokens that they have room for. There are as many spaces as bins at most, however long a block may be. */
class OpenBins {
  private readonly bySpace = new Map<number, number[][]>();
  /** The spaces that some bin has, ascending. */
  private readonly spaces: number[] = [];

  /** Of the bins with room for `size` the fullest, of these the last that was put there. */
  take(size: number): { readonly bin: number[]; readonly space: number } | undefined {
    const at = this.place(size);
    const space = this.spaces[at];
    if (space === undefined) return undefined;
    const bins = this.bySpace.get(space)!;
    const bin = bins.pop()!;
    if (bins.length === 0) {
      this.bySpace.delete(space);
      this.spaces.splice(at, 1);
    }
    return { bin, space };
  }

  put(bin: number[], space: number): void {
    const bins = this.bySpace.get(space);
    if (bins) bins.push(bin);
    else {
      this.bySpace.set(space, [bin]);
      this.spaces.splice(this.place(space), 0, space);
    }
  }

  all(): number[][] {
    return [...this.bySpace.values()].flat();
  }

  /** Where the first space of at least `size` stands. */
  private place(size: number): number {
    let [low, high] = [0, this.spaces.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.spaces[middle]! < size) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * All texts one behind the other, each ended by EOS (which is trained on where the token before it is), cut every `length` tokens. A
 * block in which nothing is trained on teaches nothing and is left out.
 * @throws UserError for a text of which nothing is trained on, and for texts of a model with an encoder
 */
export function packConcat(examples: readonly Example[], options: ConcatOptions): Block[] {
  checkWhole('length', options.length, 1);
  checkWhole('eosTokenId', options.eosTokenId, 0);
  if (examples.some(({ encoderIds }) => encoderIds !== undefined)) refuseEncoder();
  const texts = examples.map((example) => {
    checkTrained(example, example, 0, options);
    return endedBy(options.eosTokenId, example);
  });
  const all = joined(texts);
  const { ids, labels } = all;
  const blocks: Block[] = [];
  for (let start = 0; start < ids.length; start += options.length) {
    const end = Math.min(start + options.length, ids.length);
    if (end - start < options.length && options.dropLast) break;
    if (labels.subarray(start + 1, end).some(isTrained)) blocks.push(concatBlock(all, start, end));
  }
  return blocks;
}

/** Pairs are never joined into one. */
export function refuseEncoder(): never {
  throw new UserError(
    "training.packing: concat joins texts into one, which a model with an encoder does not read; use 'isolated' (pairs side by side) " +
      "or 'none'",
  );
}

/** The tokens from `start` to before `end` of texts that stand one behind the other. */
export function concatBlock({ ids, labels, rows, sources }: Joined, start: number, end: number): Block {
  return {
    ids: ids.slice(start, end),
    labels: labels.slice(start, end),
    positions: Int32Array.from({ length: end - start }, (_, t) => t),
    segments: new Int32Array(end - start),
    rows: [...new Set(rows.subarray(start, end))],
    ...(sources && { sources: sources.slice(start, end) }),
  };
}

/** Whether the token of this label is trained on. */
export function isTrained(label: number): boolean {
  return label !== IGNORE_INDEX;
}

/** A text cut to a block. Throws UserError where nothing of it is trained on. */
export function truncated(example: Example, options: PackingOptions): Example {
  const { ids, labels, row, source, encoderIds } = example;
  const { length } = options;
  const cut =
    sizeOf(example) <= length
      ? example
      : {
          ids: head(ids, length),
          labels: head(labels, length),
          row,
          source,
          ...(encoderIds && { encoderIds: head(encoderIds, length) }),
        };
  // A text's first token has none before it to be predicted from.
  checkTrained(cut, example, 1, options);
  return cut;
}

/** What a text takes of a block: of a pair the longer part. */
function sizeOf({ ids, encoderIds }: Example): number {
  return Math.max(ids.length, encoderIds?.length ?? 0);
}

function head(values: ArrayLike<number>, most: number): Int32Array {
  return Int32Array.from({ length: Math.min(most, values.length) }, (_, i) => values[i]!);
}

export function checkTrained(cut: Example, whole: Example, from: number, options: PackingOptions): void {
  const { ids, labels, row } = whole;
  if (labels.length !== ids.length)
    throw new RangeError(`row ${row} has ${ids.length} tokens and ${labels.length} labels`);
  checkInt32('ids', ids);
  checkInt32('labels', labels);
  checkInt32('encoderIds', whole.encoderIds ?? []);
  for (let i = from; i < cut.labels.length; i++) if (isTrained(cut.labels[i]!)) return;
  const shown = options.describeRow?.(row) ?? `row ${row}`;
  throw new UserError(
    ids.length > cut.ids.length
      ? `${shown}: its ${ids.length} tokens are cut at ${cut.ids.length}, before the first that is trained on; raise the block ` +
          'length or leave the row out'
      : `${shown}: none of its ${ids.length} tokens is trained on; its answer is empty or masked`,
  );
}

export function endedBy(eosTokenId: number, example: Example): Example {
  const { ids, labels, row, source } = example;
  const last = ids.length - 1;
  if (ids[last] === eosTokenId) return example;
  const eosLabel = isTrained(labels[last]!) ? eosTokenId : IGNORE_INDEX;
  return { ids: [...Array.from(ids), eosTokenId], labels: [...Array.from(labels), eosLabel], row, source };
}

interface Joined {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** A token's row, and its source, where the texts have one. */
  readonly rows: Int32Array;
  readonly sources: Int32Array | undefined;
}

export function joined(texts: readonly Example[]): Joined {
  const total = texts.reduce((n, { ids }) => n + ids.length, 0);
  const [ids, labels, rows] = [new Int32Array(total), new Int32Array(total), new Int32Array(total)];
  const sources = texts[0]?.source === undefined ? undefined : new Int32Array(total);
  let at = 0;
  for (const text of texts) {
    ids.set(text.ids, at);
    labels.set(text.labels, at);
    rows.fill(text.row, at, at + text.ids.length);
    sources?.fill(text.source!, at, at + text.ids.length);
    at += text.ids.length;
  }
  return { ids, labels, rows, sources };
}

export function isolatedBlock(texts: readonly Example[]): Block {
  const { ids, labels, sources } = joined(texts);
  const [positions, segments] = [new Int32Array(ids.length), new Int32Array(ids.length)];
  let at = 0;
  for (const [segment, text] of texts.entries()) {
    const end = at + text.ids.length;
    segments.fill(segment, at, end);
    for (let t = 0; at < end; t++) positions[at++] = t;
  }
  const encoder = readTogether(texts);
  return {
    ids,
    labels,
    ...(encoder && { encoder }),
    positions,
    segments,
    rows: [...new Set(texts.map((text) => text.row))],
    ...(sources && { sources }),
  };
}

/** What an encoder reads of texts; undefined where there is none. */
function readTogether(texts: readonly Example[]): Block['encoder'] {
  if (texts.every(({ encoderIds }) => encoderIds === undefined)) return undefined;
  const total = texts.reduce((n, { encoderIds }) => n + (encoderIds?.length ?? 0), 0);
  const [ids, segments] = [new Int32Array(total), new Int32Array(total)];
  let at = 0;
  for (const [segment, { encoderIds = [] }] of texts.entries()) {
    ids.set(encoderIds, at);
    segments.fill(segment, at, (at += encoderIds.length));
  }
  return { ids, segments };
}
