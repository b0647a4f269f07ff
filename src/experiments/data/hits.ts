/** Rows that are found to be like others, and how they are named. */

import type { Texts } from '../../data/duplicates/index.js';
import { rowNumber, textOf, type Sample, type Task } from '../../tasks/index.js';
import { Lazy } from '../../util/list.js';

/** The texts that samples are compared by. */
export function textsOf(task: Task, samples: readonly Sample[]): Texts {
  return new Lazy(samples.length, (i) => textOf(task, samples[i]!));
}

/** A row, and another that it is like. */
export interface Hit {
  readonly row: Sample;
  readonly of: Sample;
}

/** The same by the numbers that messages call them. */
export interface NamedHit {
  readonly row: string;
  readonly of: string;
}

/** Those of `samples` that have the number of another, -1 for none, in `others`. */
export function hitsOf(samples: readonly Sample[], of: ArrayLike<number>, others: readonly Sample[]): Hit[] {
  return samples.flatMap((row, i) => (of[i]! < 0 ? [] : [{ row, of: others[of[i]!]! }]));
}

const KEPT = 5;

/** The first by their numbers. */
export function firstHits(hits: readonly Hit[]): NamedHit[] {
  return [...hits]
    .sort((a, b) => a.row.row - b.row.row)
    .slice(0, KEPT)
    .map(({ row, of }) => ({ row: rowNumber(row), of: rowNumber(of) }));
}

const SHOWN = 3;

/** ' (row 3 as training row 17, …)'; '' where none is known. `of`: what the other is. */
export function shownHits(named: readonly NamedHit[] | undefined, of: string): string {
  if (named === undefined || named.length === 0) return '';
  const shown = named.slice(0, SHOWN).map((hit) => `row ${hit.row} as ${of} ${hit.of}`);
  return ` (${shown.join(', ')}${named.length > SHOWN ? ', …' : ''})`;
}
