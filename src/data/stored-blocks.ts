/**
 * Blocks of texts that stand in a file: packed by their lengths, as the same texts are in memory, and made of the file whenever one is asked
 * for.
 */

import type { EncodedFile } from './encoded.js';
import {
  binsOf,
  concatBlock,
  endedBy,
  isolatedBlock,
  isTrained,
  joined,
  refuseEncoder,
  truncated,
  type Block,
  type ConcatOptions,
} from './packing.js';

/** How texts share blocks. */
export type Packing = 'none' | 'isolated' | 'concat';

/** The texts of `file` that were kept, each of which has something to learn. In pieces, for `inTurns`. */
export function* storedBlocks(
  file: EncodedFile,
  packing: Packing,
  options: ConcatOptions,
): Generator<void, Block[], void> {
  const kept = Int32Array.from({ length: file.length }, (_, i) => i).filter((i) => !file.isLeftOut(i));
  return packing === 'concat'
    ? yield* concatenated(file, kept, options)
    : yield* isolated(file, kept, packing, options);
}

function* isolated(
  file: EncodedFile,
  kept: Int32Array,
  packing: 'none' | 'isolated',
  options: ConcatOptions,
): Generator<void, Block[], void> {
  const sizes = kept.map((i) => {
    const { ids, encoder } = file.sizes(i);
    return Math.min(options.length, Math.max(ids, encoder));
  });
  const textAt = (at: number): ReturnType<typeof truncated> => truncated(file.at(kept[at]!), options);
  const tokensOf = (at: number): number => {
    const { ids, encoder } = file.sizes(kept[at]!);
    return Math.min(options.length, ids) + Math.min(options.length, encoder);
  };
  if (packing === 'none') return made(kept.length, tokensOf, (at) => isolatedBlock([textAt(at)]));
  const bins = yield* binsOf(sizes, options.length);
  // A list for each block would take more room than all else.
  const [starts, texts] = [new Int32Array(bins.length + 1), new Int32Array(kept.length)];
  for (const [b, bin] of bins.entries()) {
    texts.set(bin, starts[b]);
    starts[b + 1] = starts[b]! + bin.length;
  }
  const textsOf = (b: number): number[] => Array.from(texts.subarray(starts[b], starts[b + 1]));
  return made(
    bins.length,
    (b) => textsOf(b).reduce((n, at) => n + tokensOf(at), 0),
    (b) => isolatedBlock(textsOf(b).map(textAt)),
  );
}

function* concatenated(
  file: EncodedFile,
  kept: Int32Array,
  { length, eosTokenId, dropLast }: ConcatOptions,
): Generator<void, Block[], void> {
  const starts = new Float64Array(kept.length + 1);
  for (const [at, i] of kept.entries()) {
    if (file.sizes(i).encoder > 0) refuseEncoder();
    const end = file.last(i) === eosTokenId ? 0 : 1;
    starts[at + 1] = starts[at]! + file.sizes(i).ids + end;
  }
  const total = starts[kept.length]!;
  /** Blocks in which something is trained on that another token comes before. */
  const trained = new Uint8Array(Math.ceil(total / length));
  for (const [at, i] of kept.entries()) {
    if (at % 64 === 63) yield;
    const { labels } = endedBy(eosTokenId, file.at(i));
    for (let t = 0; t < labels.length; t++) {
      const place = starts[at]! + t;
      if (isTrained(labels[t]!) && place % length !== 0) trained[Math.floor(place / length)] = 1;
    }
  }
  const blocks = Int32Array.from(trained.keys()).filter(
    (b) => trained[b] !== 0 && !(dropLast && (b + 1) * length > total),
  );
  const placeOf = (b: number): [from: number, to: number] => [
    blocks[b]! * length,
    Math.min((blocks[b]! + 1) * length, total),
  ];
  const tokensOf = (b: number): number => placeOf(b)[1] - placeOf(b)[0];
  return made(blocks.length, tokensOf, (b) => {
    const [from, to] = placeOf(b);
    const first = lastAtMost(starts, from);
    const texts: ReturnType<typeof endedBy>[] = [];
    for (let at = first; starts[at]! < to; at++) texts.push(endedBy(eosTokenId, file.at(kept[at]!)));
    return concatBlock(joined(texts), from - starts[first]!, to - starts[first]!);
  });
}

/** The last place of rising numbers, before the very last, at which one is at most `value`. */
function lastAtMost(numbers: Float64Array, value: number): number {
  let [low, high] = [0, numbers.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** Blocks that are kept for as long as others are not asked for. */
const KEPT = 64;

function made(count: number, sizeOf: (index: number) => number, make: (index: number) => Block): Block[] {
  const recent = new Map<number, Block>();
  const at = (index: number): Block => {
    const there = recent.get(index);
    if (there) return there;
    const block = make(index);
    if (recent.size >= KEPT) recent.delete(recent.keys().next().value!);
    recent.set(index, block);
    return block;
  };
  return Array.from({ length: count }, (_, index) => new StoredBlock(at, sizeOf, index));
}

/** A block that reads what is asked of it. */
class StoredBlock implements Block {
  constructor(
    private readonly blockAt: (index: number) => Block,
    private readonly sizeOf: (index: number) => number,
    private readonly index: number,
  ) {}

  get size(): number {
    return this.sizeOf(this.index);
  }

  get encoder(): Block['encoder'] {
    return this.blockAt(this.index).encoder;
  }

  get ids(): Int32Array {
    return this.blockAt(this.index).ids;
  }

  get labels(): Int32Array {
    return this.blockAt(this.index).labels;
  }

  get positions(): Int32Array {
    return this.blockAt(this.index).positions;
  }

  get segments(): Int32Array {
    return this.blockAt(this.index).segments;
  }

  get rows(): readonly number[] {
    return this.blockAt(this.index).rows;
  }

  get sources(): Int32Array | undefined {
    return this.blockAt(this.index).sources;
  }
}
