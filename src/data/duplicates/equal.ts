/** Texts that are equal to an earlier one: found by a hash, and compared, so that no text has to be kept. */

import { mixed } from './grams.js';

/** Texts by number; a list of strings is one. */
export interface Texts {
  readonly length: number;
  at(index: number): string | undefined;
}

/** Texts by the number of the first that is equal. */
export class FirstTexts {
  private readonly numbers = new Map<number, number>();

  constructor(private readonly texts: Texts) {}

  /** Adds that text, where none is equal to it; returns the first that is. */
  add(index: number, text = this.texts.at(index)!): number {
    const { place, first } = this.find(text);
    if (first !== undefined) return first;
    this.numbers.set(place, index);
    return index;
  }

  of(text: string): number | undefined {
    return this.find(text).first;
  }

  /** The first one, or the place where it would be. */
  private find(text: string): { readonly place: number; readonly first?: number } {
    for (let place = hashOf(text); ; place++) {
      const first = this.numbers.get(place);
      if (first === undefined) return { place };
      if (this.texts.at(first) === text) return { place, first };
    }
  }
}

/** Below 2 ** 52. */
function hashOf(text: string): number {
  let [low, high] = [0x811c9dc5, 0x2c1b3c6d];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x5bd1e995) ^ (high >>> 15);
  }
  return (mixed(high) >>> 12) * 2 ** 32 + mixed(low);
}

/** Of each text the number of the first one of `others` that is equal, else -1. In pieces, for `inTurns`. */
export function* equalTexts(texts: Texts, others: Texts): Generator<void, Int32Array, void> {
  const found = new Int32Array(texts.length).fill(-1);
  if (texts.length === 0 || others.length === 0) return found;
  // What is looked up in are the ones that are fewer.
  const few = others.length < texts.length ? others : texts;
  const first = new FirstTexts(few);
  const of = new Int32Array(few.length);
  for (let i = 0; i < few.length; i++) {
    if (i % 64 === 63) yield;
    of[i] = first.add(i);
  }
  const many = few === others ? texts : others;
  for (let i = 0; i < many.length; i++) {
    if (i % 64 === 63) yield;
    const same = first.of(many.at(i)!);
    if (same === undefined) continue;
    if (few === others) found[i] = same;
    else if (found[same]! < 0) found[same] = i;
  }
  return few === others ? found : found.map((_, i) => found[of[i]!]!);
}

/** Of each text the number of the first one that is equal, where that is an earlier one, else -1. In pieces, for `inTurns`. */
export function* repeatsOf(texts: Texts): Generator<void, Int32Array, void> {
  const found = new Int32Array(texts.length).fill(-1);
  const first = new FirstTexts(texts);
  for (let i = 0; i < texts.length; i++) {
    if (i % 64 === 63) yield;
    const of = first.add(i);
    if (of !== i) found[i] = of;
  }
  return found;
}
