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

/** A round of a loop that is being written. */
interface Round {
  message: number | undefined;
  readonly outer: Round | undefined;
}

export class Trace {
  /** What rounds of loops wrote whose item is a message, inner ones before the outer one they stand in. */
  readonly turns: WrittenFor[] = [];
  /** What stands within `generation` marks, with the message in whose round of a loop. */
  readonly marks: WrittenFor<number | undefined>[] = [];
  /** Whether something of these was written into a block or macro whose text went elsewhere. */
  readonly isHidden = { turn: false, mark: false };
  readonly #numbers: ReadonlyMap<Value, number>;
  #round: Round | undefined;

  constructor(messages: Value | undefined) {
    this.#numbers = new Map(Array.isArray(messages) ? messages.map((message, i) => [message, i]) : []);
  }

  /**
   * One round of a loop: of the message that is its item or, where that is none, of the first one that gets a name in it. `position` is
   * that in the text, or undefined within a captured block.
   */
  round<R>(item: Value, position: () => number | undefined, write: () => R): R {
    const [outer, start] = [this.#round, position()];
    const round = { message: this.#numbers.get(item), outer };
    this.#round = round;
    const result = write();
    this.#round = outer;
    const { message } = round;
    if (message === undefined) return result;
    const end = position();
    if (start === undefined || end === undefined) this.isHidden.turn = true;
    else if (end > start) this.turns.push({ message, start, end });
    return result;
  }

  /** A value gets a name. */
  name(value: Value): void {
    if (this.#round && this.#round.message === undefined) this.#round.message = this.#numbers.get(value);
  }

  generation<R>(position: () => number | undefined, write: () => R): R {
    const start = position();
    const result = write();
    const end = position();
    if (start === undefined || end === undefined) this.isHidden.mark = true;
    else if (end > start) this.marks.push({ message: this.#message, start, end });
    return result;
  }

  /** Of the innermost round that has one. */
  get #message(): number | undefined {
    let round = this.#round;
    while (round && round.message === undefined) round = round.outer;
    return round?.message;
  }
}
