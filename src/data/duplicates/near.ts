/**
 * Texts that are nearly an earlier one. Two texts are as near as the share of their shingles (runs of five words) that both have, Jaccard's
 * index, and near from 0.8 on. Who may be near to whom is told by MinHash: a signature of BANDS · ROWS minima, of which all of a band agree
 * with chance J ** ROWS, by one permutation (Li, Owen, Zhang 2012) with optimal densification (Shrivastava 2017); the candidates' shingles
 * are compared themselves, so that nothing is called near that is not. Work and memory are linear in the texts.
 */

import { FirstTexts, type Texts } from './equal.js';
import { GramReader, mixed } from './grams.js';

/** Words of a shingle. A text of fewer words is one: near to what differs in case and punctuation alone. */
export const SHINGLE_WORDS = 5;
export const NEAR = 0.8;

/** A pair of index 0.8 is found with a chance of 97.7 %, of 0.9 with 99.99 %. */
const [BANDS, ROWS] = [16, 7];
const BINS = BANDS * ROWS;

/** Earlier texts that stand under a band's value at most, and that a text is compared with at most: no data makes it quadratic. */
const [IN_BUCKET, COMPARED] = [8, 4];

/**
 * Of each text the number of an earlier one that it is near to, else -1. Earlier ones that are near to another themselves are not
 * compared with: what is left without the near ones is found so in one go. In pieces, for `inTurns`.
 * @param skipped texts that are left out of it: their answer is -1
 */
export function* nearRepeats(
  texts: Texts,
  skipped: (index: number, text: string) => boolean = () => false,
): Generator<void, Int32Array, void> {
  const found = new Int32Array(texts.length).fill(-1);
  const [reader, other] = [new GramReader(SHINGLE_WORDS, 'whole'), new GramReader(SHINGLE_WORDS, 'whole')];
  const signature = new Uint32Array(BINS);
  const bands = new Uint32Array(BANDS);
  const buckets = new Buckets(texts.length);
  for (let i = 0; i < texts.length; i++) {
    if (i % 64 === 63) yield;
    const text = texts.at(i)!;
    if (skipped(i, text)) continue;
    reader.read(text);
    if (reader.length === 0) continue;
    sign(reader, signature);
    for (let band = 0; band < BANDS; band++) {
      let hash = band;
      for (let row = 0; row < ROWS; row++) hash = mixed(hash ^ signature[band * ROWS + row]!) + row;
      bands[band] = hash;
    }
    const candidates = buckets.candidates(bands);
    if (candidates.length > 0) {
      const own = reader.distinct();
      found[i] =
        candidates.find((candidate) => {
          other.read(texts.at(candidate)!);
          return jaccard(own, other.distinct()) >= NEAR;
        }) ?? -1;
    }
    if (found[i]! < 0) buckets.add(i, bands);
  }
  return found;
}

/** Of each text the first one that is equal to it, where that is an earlier one; and of the others one that is near. In pieces, for `inTurns`. */
export function* repeatsAndNear(
  texts: Texts,
): Generator<void, { readonly equal: Int32Array; readonly near: Int32Array }, void> {
  const equal = new Int32Array(texts.length).fill(-1);
  const first = new FirstTexts(texts);
  const near = yield* nearRepeats(texts, (i, text) => {
    const of = first.add(i, text);
    if (of !== i) equal[i] = of;
    return of !== i;
  });
  return { equal, near };
}

/** Of ascending numbers, each once: how many of those that either has are in both. */
export function jaccard(a: Float64Array, b: Float64Array): number {
  let [i, j, both] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const difference = a[i]! - b[j]!;
    if (difference === 0) both++;
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return both / (a.length + b.length - both);
}

/** Tries of an empty bin to find another's minimum, in an order of its own. */
const TRIES = 64;
const tries = Uint8Array.from({ length: BINS * TRIES }, (_, i) => (mixed(i + 1) / 2 ** 32) * BINS);

/** The least hash of the grams that fall into each bin; an empty bin has another's. */
function sign({ low, high, length }: GramReader, signature: Uint32Array): void {
  signature.fill(0xffffffff);
  for (let i = 0; i < length; i++) {
    const bin = Math.floor((low[i]! / 2 ** 32) * BINS);
    const value = mixed(low[i]! ^ high[i]!);
    if (value < signature[bin]!) signature[bin] = value;
  }
  // What is borrowed must not be lent again, so the bins' own minima are looked at alone.
  const own = signature.slice();
  for (let bin = 0; bin < BINS; bin++) {
    if (own[bin] !== 0xffffffff) continue;
    let from = bin;
    for (let k = 0; k < TRIES && own[from] === 0xffffffff; k++) from = tries[bin * TRIES + k]!;
    while (own[from] === 0xffffffff) from = (from + 1) % BINS;
    signature[bin] = own[from]!;
  }
}

/**
 * Texts by the values of their bands: an open table whose entries are a text's number and band. It has room from the beginning for as many
 * texts as there are: growing would need the old room beside the new.
 */
class Buckets {
  /** Entry + 1, 0 for an empty place; at most two of three are taken. */
  private readonly places: Uint32Array;
  private readonly hashes: Uint32Array;
  private readonly texts: Uint32Array;
  private entries = 0;

  constructor(texts: number) {
    const most = BANDS * texts;
    this.places = new Uint32Array(2 ** Math.ceil(Math.log2(1.5 * most + 1)));
    [this.hashes, this.texts] = [new Uint32Array(most), new Uint32Array(most)];
  }

  /** Those that most bands agree on first, of equal ones the earliest. */
  candidates(bands: Uint32Array): number[] {
    const agreeing = new Map<number, number>();
    for (const hash of bands)
      for (const entry of this.at(hash)) {
        const text = this.texts[entry]!;
        agreeing.set(text, (agreeing.get(text) ?? 0) + 1);
      }
    if (agreeing.size === 0) return [];
    return [...agreeing]
      .sort(([a, n], [b, m]) => m - n || a - b)
      .slice(0, COMPARED)
      .map(([text]) => text);
  }

  add(text: number, bands: Uint32Array): void {
    for (const hash of bands) {
      if (this.at(hash).length >= IN_BUCKET) continue;
      this.hashes[this.entries] = hash;
      this.texts[this.entries] = text;
      this.place(this.entries++);
    }
  }

  /** The entries of a value. */
  private at(hash: number): number[] {
    const found: number[] = [];
    const mask = this.places.length - 1;
    for (let at = hash & mask; this.places[at] !== 0; at = (at + 1) & mask) {
      const entry = this.places[at]! - 1;
      if (this.hashes[entry] === hash) found.push(entry);
    }
    return found;
  }

  private place(entry: number): void {
    const mask = this.places.length - 1;
    let at = this.hashes[entry]! & mask;
    while (this.places[at] !== 0) at = (at + 1) & mask;
    this.places[at] = entry + 1;
  }
}
