import type { TextStream } from './stream.js';
import { TextUntil } from './until.js';

/** An answer's text while it grows: decoded while the model is at the next tokens. */
export class GrowingText {
  #waiting: number[] = [];
  #decoding: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #until: TextUntil;

  /**
   * @param ends texts that end it, of which nothing is told, nor of what follows
   * @param onText is told each piece, none of which is empty
   */
  constructor(
    private readonly stream: TextStream,
    ends: readonly string[],
    private readonly onText: (text: string) => void,
  ) {
    this.#until = new TextUntil(ends);
  }

  /** Whether one of its ends has come. */
  get ended(): boolean {
    return this.#until.ended;
  }

  /** The next token. Throws what decoding or `onText` threw for those before. */
  push(token: number): void {
    if (this.#failure) throw this.#failure.error;
    this.#waiting.push(token);
    this.#decoding ??= this.#decode();
    this.#decoding.catch((error: unknown) => (this.#failure = { error }));
  }

  /** Tells what was held back. Rejects as `push` throws. */
  async end(): Promise<void> {
    await this.#decoding;
    this.#tell(this.#until.push(this.stream.end()) + this.#until.end());
  }

  async #decode(): Promise<void> {
    while (this.#waiting.length > 0) {
      const tokens = this.#waiting;
      this.#waiting = [];
      await this.stream.prepare(tokens);
      for (const token of tokens) this.#tell(this.#until.push(this.stream.push(token)));
    }
    this.#decoding = undefined;
  }

  #tell(text: string): void {
    if (text !== '') this.onText(text);
  }
}
