/** Where in its text a template wrote what: the turns of its loops over the messages, and its `generation` marks. */
import type { Value } from './python/values.js';

/** UTF-16 units of the text, the end excluded. */
export interface Written {
  readonly start: number;
  readonly end: number;
}

/** What was written for a message, by its number. */
export interface WrittenFor<Message = number> extends Written {
  readonly message: Message;
}

export class Trace {
  /** What rounds of loops wrote whose item is a message, inner ones before the outer one they stand in. */
  readonly turns: WrittenFor[] = [];
  /** What stands within `generation` marks, with the message in whose round of a loop. */
  readonly marks: WrittenFor<number | undefined>[] = [];
  /** Whether something of these was written into a block or macro whose text went elsewhere. */
  readonly isHidden = { turn: false, mark: false };
  readonly #numbers: ReadonlyMap<Value, number>;
  #now: number | undefined;

  constructor(messages: Value | undefined) {
    this.#numbers = new Map(Array.isArray(messages) ? messages.map((message, i) => [message, i]) : []);
  }

  /** One round of a loop. `position` is that in the text, or undefined within a captured block. */
  round<R>(item: Value, position: () => number | undefined, write: () => R): R {
    const message = this.#numbers.get(item);
    if (message === undefined) return write();
    const [outer, start] = [this.#now, position()];
    this.#now = message;
    const result = write();
    this.#now = outer;
    const end = position();
    if (start === undefined || end === undefined) this.isHidden.turn = true;
    else if (end > start) this.turns.push({ message, start, end });
    return result;
  }

  generation<R>(position: () => number | undefined, write: () => R): R {
    const start = position();
    const result = write();
    const end = position();
    if (start === undefined || end === undefined) this.isHidden.mark = true;
    else if (end > start) this.marks.push({ message: this.#now, start, end });
    return result;
  }
}
