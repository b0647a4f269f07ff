/** Where an answer ends that a model does not end itself: learnt from the answers that the data has. */

import type { Task } from './types.js';

type Ends = Task['ends'];

/** The start of a prompt's next section: a model that was not tuned often goes on with one. */
export const MARKER = '###';

/** Labels: no label has a line break or a marker. */
export const ONE_LINE: Ends = {
  tuned: { line: true, marker: true },
  untuned: { line: true, marker: true },
};

/**
 * A tuned model has learnt to end where the data's answers do, so nothing that one of them has may cut its answer. One that was not tuned
 * goes on with another question more often than not, so only what most of them have is its answer's.
 */
export function endsLike(answers: readonly string[]): Ends {
  const has = (test: (answer: string) => boolean): { any: boolean; most: boolean } => {
    const n = answers.filter(test).length;
    return { any: n > 0, most: 2 * n > answers.length };
  };
  const lines = has((answer) => /[\r\n]/.test(answer));
  const inner = has((answer) => /[\r\n]/.test(answer.trim()));
  const markers = has((answer) => answer.includes(MARKER));
  return {
    tuned: { line: !lines.any, marker: !markers.any },
    untuned: { line: !inner.most, marker: !markers.most },
  };
}
