/**
 * Text of a growing answer. A character may take several tokens: `push` returns only what the next token can no longer change, and
 * all that it returned, with `end`, is what decoding everything at once gives.
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  // The tokens whose text is out last, kept as context (a first token loses its leading space), and those not yet out.
  #ids: number[] = [];
  #emitted = 0;
  /** The text of those that are out. */
  #before = '';

  /** `isOpen`: whether the token behind one of this id may still change its text. */
  constructor(
    decode: (ids: readonly number[]) => string,
    private readonly isOpen: (id: number) => boolean = () => false,
  ) {
    this.#decode = decode;
  }

  push(id: number): string {
    this.#ids.push(id);
    if (this.isOpen(id)) return '';
    const text = this.#decode(this.#ids);
    // A trailing U+FFFD is a character whose bytes have not all come.
    if (text.endsWith('\ufffd') || text.length <= this.#before.length) return '';
    const out = text.slice(this.#before.length);
    this.#ids = this.#ids.slice(this.#emitted);
    this.#emitted = this.#ids.length;
    this.#before = this.#decode(this.#ids);
    return out;
  }

  /** What was held back. */
  end(): string {
    const rest = this.#decode(this.#ids).slice(this.#before.length);
    this.#emitted = this.#ids.length;
    this.#before += rest;
    return rest;
  }
}
