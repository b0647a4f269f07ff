/**
 * Seeded choices. Each row of the demonstration data draws from a stream of its own (Philox, keyed by seed and stream, counted by row),
 * so that a row is the same whatever was drawn for the others.
 */
import { philox4x32 } from '../../src/util/philox.js';

export class Draws {
  readonly #key: readonly [number, number];
  readonly #row: number;
  #block = 0;
  #words: number[] = [];

  /** @param stream tells apart what is made from the same seed; both and `row` are taken modulo 2^32 */
  constructor(seed: number, stream: number, row: number) {
    this.#key = [seed, stream];
    this.#row = row;
  }

  /** Uniform in [0, 1). */
  next(): number {
    if (this.#words.length === 0) this.#words = philox4x32([this.#block++, this.#row, 0, 0], this.#key);
    return this.#words.pop()! / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A uniform integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** Frequencies as words have them: the value at rank i (from 0) comes with a probability proportional to 1/(i + 1). */
  zipf<T>(values: readonly T[]): T {
    const weights = zipfWeights(values.length);
    const at = this.next() * weights.at(-1)!;
    return values[weights.findIndex((sum) => at < sum)]!;
  }

  /** A key of `weights`, with probabilities proportional to their values. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries<number>(weights) as [K, number][];
    let at = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      at -= weight;
      if (at < 0) return key;
    }
    return entries.at(-1)![0];
  }

  /** `count` different values, in random order. */
  sample<T>(values: readonly T[], count: number): T[] {
    const pool = [...values];
    for (let i = 0; i < count; i++) {
      const j = i + this.below(pool.length - i);
      [pool[i], pool[j]] = [pool[j]!, pool[i]!];
    }
    return pool.slice(0, count);
  }
}

const sums = new Map<number, number[]>();

/** Running sums of 1, 1/2, ..., 1/n. */
function zipfWeights(n: number): number[] {
  let known = sums.get(n);
  if (known === undefined) {
    let sum = 0;
    known = Array.from({ length: n }, (_, i) => (sum += 1 / (i + 1)));
    sums.set(n, known);
  }
  return known;
}
