/**
 * Texts of two sets that have a run of 13 words in common: the field's measure of test rows that stand in training (GPT-3, appendix C;
 * lm-evaluation-harness). As there, a run that more than 10 texts of the training have is a phrase or a template and counts for nothing,
 * and a text of fewer than 13 words has no such run: it stands in training where it is equal.
 */

import type { Texts } from './equal.js';
import { GramReader } from './grams.js';

const GRAM_WORDS = 13;
/** Training texts that a run may stand in, to be more than a phrase. */
const MOST_TEXTS = 10;

export interface SharedGrams {
  /** Of each training text a test text that it has a run in common with, else -1. */
  readonly train: Int32Array;
  /** Of each test text a training text. */
  readonly test: Int32Array;
}

/** In pieces, for `inTurns`. Linear in the texts; the memory is that of the test texts' runs. */
export function* sharedGrams(train: Texts, test: Texts): Generator<void, SharedGrams, void> {
  const reader = new GramReader(GRAM_WORDS, 'none');
  const grams = new Grams();
  const found = { train: new Int32Array(train.length).fill(-1), test: new Int32Array(test.length).fill(-1) };
  if (train.length === 0 || test.length === 0) return found;
  function* each(texts: Texts, see: (index: number) => void): Generator<void, void, void> {
    for (let i = 0; i < texts.length; i++) {
      if (i % 64 === 63) yield;
      reader.read(texts.at(i)!);
      see(i);
    }
  }
  yield* each(test, (index) => {
    for (let i = 0; i < reader.length; i++) grams.add(reader.low[i]!, reader.high[i]!, index);
  });
  const touched = new Uint8Array(train.length);
  yield* each(train, (index) => {
    for (let i = 0; i < reader.length; i++)
      if (grams.see(reader.low[i]!, reader.high[i]!, index)) touched[index] = 1;
  });
  for (let index = 0; index < train.length; index++) {
    if (touched[index] === 0) continue;
    reader.read(train.at(index)!);
    for (let i = 0; i < reader.length && found.train[index]! < 0; i++)
      found.train[index] = grams.of(reader.low[i]!, reader.high[i]!)?.test ?? -1;
  }
  yield* each(test, (index) => {
    for (let i = 0; i < reader.length && found.test[index]! < 0; i++)
      found.test[index] = grams.of(reader.low[i]!, reader.high[i]!)?.train ?? -1;
  });
  return found;
}

/** The test texts' grams, in an open table: which test text has one first, and which training texts. */
class Grams {
  private count = 0;
  private low = new Uint32Array(1 << 10);
  private high = new Uint32Array(1 << 10);
  /** + 1; 0 is an empty place. */
  private test = new Uint32Array(1 << 10);
  /** The first and the last training text, + 1, and how many there are, as far as it matters. */
  private first = new Uint32Array(1 << 10);
  private last = new Uint32Array(1 << 10);
  private texts = new Uint8Array(1 << 10);

  add(low: number, high: number, test: number): void {
    const at = this.at(low, high);
    if (this.test[at] !== 0) return;
    [this.low[at], this.high[at], this.test[at]] = [low, high, test + 1];
    if (2 * ++this.count > this.low.length) this.grow();
  }

  /** A training text has it; whether a test text has it, too. */
  see(low: number, high: number, train: number): boolean {
    const at = this.at(low, high);
    if (this.test[at] === 0) return false;
    if (this.last[at] === train + 1) return true;
    this.last[at] = train + 1;
    if (this.texts[at] === 0) this.first[at] = train + 1;
    if (this.texts[at]! <= MOST_TEXTS) this.texts[at]!++;
    return true;
  }

  /** The first texts that have it; undefined where it is nobody's, or too many's. */
  of(low: number, high: number): { readonly train: number; readonly test: number } | undefined {
    const at = this.at(low, high);
    const texts = this.texts[at]!;
    if (texts === 0 || texts > MOST_TEXTS) return undefined;
    return { train: this.first[at]! - 1, test: this.test[at]! - 1 };
  }

  private at(low: number, high: number): number {
    const mask = this.low.length - 1;
    let at = low & mask;
    while (this.test[at] !== 0 && (this.low[at] !== low || this.high[at] !== high)) at = (at + 1) & mask;
    return at;
  }

  /** Before any training text was seen. */
  private grow(): void {
    const { low, high, test } = this;
    const length = 2 * low.length;
    [this.low, this.high, this.test] = [
      new Uint32Array(length),
      new Uint32Array(length),
      new Uint32Array(length),
    ];
    [this.first, this.last, this.texts] = [
      new Uint32Array(length),
      new Uint32Array(length),
      new Uint8Array(length),
    ];
    for (const [i, one] of test.entries()) {
      if (one === 0) continue;
      const at = this.at(low[i]!, high[i]!);
      [this.low[at], this.high[at], this.test[at]] = [low[i]!, high[i]!, one];
    }
  }
}
