/** Lists of ids to their texts, at once or in a while. */
export interface IdDecoder {
  now(all: readonly (readonly number[])[]): string[];
  later(all: readonly (readonly number[])[]): Promise<string[]>;
}

/**
 * Text of a growing answer. A character may take several tokens: `push` returns only what the next token can no longer change, and
 * all that it returned, with `end`, is what decoding everything at once gives.
 */
export class TextStream {
  // The tokens whose text is out last, kept as context (a first token loses its leading space), and those not yet out.
  #ids: number[] = [];
  #emitted = 0;
  /** The text of those that are out. */
  #before = '';
  /** What was decoded ahead, by its ids. */
  #ahead = new Map<string, string>();

  /** `isOpen`: whether the token behind one of this id may still change its text. `isNothing`: whether decoding leaves it out. */
  constructor(
    private readonly decoder: IdDecoder,
    private readonly isOpen: (id: number) => boolean = () => false,
    private readonly isNothing: (id: number) => boolean = () => false,
  ) {}

  push(id: number): string {
    if (this.isNothing(id)) return '';
    this.#ids.push(id);
    if (this.isOpen(id)) return '';
    const last = this.#ids.slice(this.#emitted);
    const [text, before] = this.#textsOf([this.#ids, last]) as [string, string];
    // A trailing U+FFFD is a character whose bytes have not all come.
    if (text.endsWith('\ufffd') || text.length <= this.#before.length) return '';
    const out = text.slice(this.#before.length);
    this.#ids = last;
    this.#emitted = last.length;
    this.#before = before;
    return out;
  }

  /** Makes `push` of ids that are known by now quick: decodes what it will ask for where each token is a text of its own. */
  async prepare(ids: readonly number[]): Promise<void> {
    const all: number[][] = [];
    let held = this.#ids;
    let emitted = this.#emitted;
    for (const id of ids) {
      if (this.isNothing(id)) continue;
      held = [...held, id];
      if (this.isOpen(id)) continue;
      all.push(held, (held = held.slice(emitted)));
      emitted = held.length;
    }
    const texts = await this.decoder.later(all);
    this.#ahead = new Map(all.map((list, i) => [list.join(), texts[i]!]));
  }

  /** What was held back. */
  end(): string {
    const rest = this.#textsOf([this.#ids])[0]!.slice(this.#before.length);
    this.#emitted = this.#ids.length;
    this.#before += rest;
    return rest;
  }

  #textsOf(all: readonly (readonly number[])[]): string[] {
    const texts = all.map((ids) => this.#ahead.get(ids.join()));
    return texts.includes(undefined) ? this.decoder.now(all) : (texts as string[]);
  }
}
