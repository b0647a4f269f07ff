/**
 * numpy's `RandomState`: the Mersenne Twister of Matsumoto and Nishimura (1998) with numpy's ways to draw from it, for which
 * scikit-learn's splits are the reason. Same seed, same numbers, same permutations.
 */

const SIZE = 624;
const SHIFT = 397;

export class RandomState {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;

  /** @param seed taken modulo 2^32 */
  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < SIZE; i++) {
      const last = this.#state[i - 1]!;
      this.#state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
  }

  /** A uniform u32. */
  uint32(): number {
    if (this.#next === SIZE) this.#refill();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A uniform integer in [0, max], max a u32: draws are masked to max's bits and repeated until one fits. */
  integer(max: number): number {
    if (max === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(max);
    for (;;) {
      const value = (this.uint32() & mask) >>> 0;
      if (value <= max) return value;
    }
  }

  /** Shuffled copy (Fisher and Yates, from the end). */
  permutation<T>(values: readonly T[]): T[] {
    const result = [...values];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(i);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  #refill(): void {
    const s = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % SIZE]! & 0x7fffffff);
      s[i] = s[(i + SHIFT) % SIZE]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
