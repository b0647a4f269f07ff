/** Work that asks a device for much: in pieces, so that the event loop of the program around it gets its turn. */

import { throwIfAborted } from './abort.js';

/** Milliseconds for which a piece may go on. */
const SLICE = 8;

/** Tells for how long the event loop has had no turn. */
export class LoopWatch {
  private turned = performance.now();
  private turn: NodeJS.Immediate | undefined;

  /** Milliseconds. */
  get held(): number {
    this.turn ??= setImmediate(() => {
      this.turned = performance.now();
      this.turn = undefined;
    }).unref();
    return performance.now() - this.turned;
  }
}

/** Does all of `work`, some milliseconds of it within each `ask`, with a turn of the event loop in between. */
export async function inTurns<T>(
  work: Iterator<void, T, void>,
  ask: (body: () => IteratorResult<void, T>) => IteratorResult<void, T> = (body) => body(),
): Promise<T> {
  for (;;) {
    const { done, value } = ask(() => {
      const start = performance.now();
      for (;;) {
        const step = work.next();
        if (step.done || performance.now() - start >= SLICE) return step;
      }
    });
    if (done) return value;
    await new Promise(setImmediate);
  }
}

/** The same; rejects with an AbortError once `signal` is aborted. */
export function abortable<T>(signal: AbortSignal | undefined, work: Iterator<void, T, void>): Promise<T> {
  return inTurns(work, (body) => {
    throwIfAborted(signal);
    return body();
  });
}

/** Does all of it at once. */
export function atOnce<T>(work: Iterator<void, T, void>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
