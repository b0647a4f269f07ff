/**
 * Encodings that were asked for last: labels, the examples before every question, and texts that are planned with before they are trained
 * on come again and again. Bounded by memory, for texts may have any length.
 */

/** What is kept at most, in UTF-16 units; an id takes as much as two. */
const ROOM = 1 << 22;

/** Of an entry, beside its text and ids. */
const OVERHEAD = 64;

export class Memo {
  readonly #kept = new Map<string, Int32Array>();
  #size = 0;

  get(text: string): Int32Array | undefined {
    const ids = this.#kept.get(text);
    if (ids === undefined) return undefined;
    this.#kept.delete(text);
    this.#kept.set(text, ids);
    return ids;
  }

  /** Keeps a copy in the place of those that were not asked for the longest. */
  set(text: string, ids: Int32Array): void {
    if (this.#kept.has(text) || sizeOf(text, ids) > ROOM) return;
    this.#kept.set(text, ids.slice());
    this.#size += sizeOf(text, ids);
    for (const [oldest, its] of this.#kept) {
      if (this.#size <= ROOM) break;
      this.#kept.delete(oldest);
      this.#size -= sizeOf(oldest, its);
    }
  }
}

const sizeOf = (text: string, ids: Int32Array): number => text.length + 2 * ids.length + OVERHEAD;
