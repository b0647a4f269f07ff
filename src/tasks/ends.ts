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
export function endsLike(answers: Iterable<string>): Ends {
  let [all, lines, inner, markers] = [0, 0, 0, 0];
  for (const answer of answers) {
    all++;
    if (/[\r\n]/.test(answer)) lines++;
    if (/[\r\n]/.test(answer.trim())) inner++;
    if (answer.includes(MARKER)) markers++;
  }
  return {
    tuned: { line: lines === 0, marker: markers === 0 },
    untuned: { line: 2 * inner <= all, marker: 2 * markers <= all },
  };
}
