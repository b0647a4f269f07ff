/** A model's text on the terminal while it grows. */

import type { TextStream } from '../tokenizer/index.js';
import { sayText } from './output.js';

/** An answer that is shown as it grows: decoded while the model is at the next tokens. */
export class Shown {
  #waiting: number[] = [];
  #showing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** What may be the beginning of the end. */
  #held = '';
  #ended = false;

  /** `until`: the text that ends it, of which nothing is shown, nor of what follows. */
  constructor(
    private readonly stream: TextStream,
    private readonly until = '',
  ) {}

  push(token: number): void {
    if (this.#failure) throw this.#failure.error;
    this.#waiting.push(token);
    this.#showing ??= this.#show();
    this.#showing.catch((error: unknown) => (this.#failure = { error }));
  }

  async end(): Promise<void> {
    await this.#showing;
    this.#say(this.stream.end());
    sayText((this.#ended ? '' : this.#held) + '\n');
  }

  async #show(): Promise<void> {
    while (this.#waiting.length > 0) {
      const tokens = this.#waiting;
      this.#waiting = [];
      await this.stream.prepare(tokens);
      for (const token of tokens) this.#say(this.stream.push(token));
    }
    this.#showing = undefined;
  }

  #say(text: string): void {
    if (this.#ended) return;
    const all = this.#held + text;
    const end = this.until === '' ? -1 : all.indexOf(this.until);
    const shown = end < 0 ? all.length - beginsAtEnd(all, this.until) : end;
    sayText(all.slice(0, shown));
    this.#held = all.slice(shown);
    this.#ended = end >= 0;
  }
}

/** How much of a text's end is a beginning of `of`. */
function beginsAtEnd(text: string, of: string): number {
  for (let n = Math.min(text.length, of.length - 1); n > 0; n--) if (of.startsWith(text.slice(-n))) return n;
  return 0;
}
