/** A growing text up to the first of some others, of which nothing is given out, nor of what follows: what may be the beginning of one waits. */
export class TextUntil {
  #held = '';
  #ended = false;

  constructor(private readonly ends: readonly string[]) {}

  /** Whether one of them has come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** More of the text. @returns what of it can be given out */
  push(text: string): string {
    if (this.#ended) return '';
    const all = this.#held + text;
    const found = this.#found(all);
    this.#ended = found !== undefined;
    const shown = found ?? all.length - this.#begun(all);
    this.#held = all.slice(shown);
    return all.slice(0, shown);
  }

  /** What was held back of a text that ends here. */
  end(): string {
    const held = this.#ended ? '' : this.#held;
    this.#held = '';
    return held;
  }

  /** Where the one begins that is whole first, however the text comes in pieces. */
  #found(text: string): number | undefined {
    const found = this.ends.map((end) => ({ at: text.indexOf(end), length: end.length }));
    const [first] = found
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at + a.length - (b.at + b.length) || a.at - b.at);
    return first?.at;
  }

  /** How much of a text's end is a beginning of one of them. */
  #begun(text: string): number {
    const longest = Math.max(0, ...this.ends.map((end) => end.length - 1));
    for (let n = Math.min(text.length, longest); n > 0; n--) {
      const tail = text.slice(-n);
      if (this.ends.some((end) => end.startsWith(tail))) return n;
    }
    return 0;
  }
}
