/** What a template wrote for each message, of the rounds of its loops. */
import type { Trace, Written } from '../jinja/index.js';

/** By a message's number: the pieces of text that were written for it and for none within it, in order, those that touch made one. */
export type Turns = ReadonlyMap<number, readonly Written[]>;

export function turnsOf({ turns }: Trace): Turns {
  const pieces = new Map<number, Written[]>();
  const add = (message: number, start: number, end: number): void => {
    if (end > start) pieces.set(message, [...(pieces.get(message) ?? []), { start, end }]);
  };
  const done: Written[] = [];
  for (const { message, start, end } of turns) {
    const within: Written[] = [];
    while (done.length > 0 && done.at(-1)!.start >= start) within.unshift(done.pop()!);
    let from = start;
    for (const inner of within) {
      add(message, from, inner.start);
      from = inner.end;
    }
    add(message, from, end);
    done.push({ start, end });
  }
  return new Map(Array.from(pieces, ([message, own]) => [message, touching(own)]));
}

function touching(pieces: readonly Written[]): Written[] {
  const whole: Written[] = [];
  for (const piece of [...pieces].sort((a, b) => a.start - b.start)) {
    const last = whole.at(-1);
    if (last?.end === piece.start) whole[whole.length - 1] = { start: last.start, end: piece.end };
    else whole.push(piece);
  }
  return whole;
}
