/**
 * Encodings and texts that were asked for last: labels, the examples before every question, and texts that are planned with before they
 * are trained on come again and again. Bounded by memory, for they may have any length.
 */

/** Of an entry, beside its key and its value. */
const OVERHEAD = 64;

/** Values by texts; a value must not be changed any more. */
export class Memo<V extends { readonly length: number }> {
  readonly #kept = new Map<string, V>();
  #size = 0;

  /** `room`: what is kept at most, in UTF-16 units of keys; what has a value's length takes two each. */
  constructor(private readonly room: number) {}

  get(key: string): V | undefined {
    const value = this.#kept.get(key);
    if (value === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, value);
    return value;
  }

  /** In the place of those that were not asked for the longest. */
  set(key: string, value: V): void {
    if (this.#kept.has(key) || sizeOf(key, value) > this.room) return;
    this.#kept.set(key, value);
    this.#size += sizeOf(key, value);
    for (const [oldest, its] of this.#kept) {
      if (this.#size <= this.room) break;
      this.#kept.delete(oldest);
      this.#size -= sizeOf(oldest, its);
    }
  }
}

const sizeOf = (key: string, value: { readonly length: number }): number =>
  key.length + 2 * value.length + OVERHEAD;
