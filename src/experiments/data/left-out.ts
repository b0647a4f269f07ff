/** Training rows that a configuration leaves out: those that repeat another, and those that stand in the rows that are tested. */

import { equalTexts, repeatsAndNear, repeatsOf, sharedGrams } from '../../data/duplicates/index.js';
import type { Sample, Task } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import type { Deduplicate, Decontaminate } from '../config/settings/rows.js';
import { firstHits, hitsOf, shownHits, textsOf, type NamedHit } from './hits.js';

/** How many rows were left out, and the first of them. */
interface LeftOut<How extends string = string> {
  readonly how: How;
  readonly count: number;
  readonly rows: readonly NamedHit[];
}

/** What was left out, by why: as result.json has it. */
export interface LeftOutRows {
  readonly deduplicate?: LeftOut<Deduplicate>;
  readonly decontaminate?: LeftOut<Decontaminate>;
}

interface Kept<How extends string> {
  readonly kept: readonly Sample[];
  readonly leftOut: LeftOut<How>;
}

/** Without rows whose text an earlier one has, or nearly has. In pieces, for `inTurns`. */
export function* deduplicated(
  task: Task,
  samples: readonly Sample[],
  how: Deduplicate,
): Generator<void, Kept<Deduplicate>, void> {
  const texts = textsOf(task, samples);
  const exact = how === 'exact';
  const { equal, near } = exact
    ? { equal: yield* repeatsOf(texts), near: undefined }
    : yield* repeatsAndNear(texts);
  return without(
    how,
    samples,
    equal.map((of, i) => (of < 0 ? (near?.[i] ?? -1) : of)),
    samples,
  );
}

/** Without rows whose text a tested one has, or has 13 words in a row of. Throws UserError where nothing is left. */
export function* decontaminated(
  task: Task,
  samples: readonly Sample[],
  tested: readonly Sample[],
  how: Decontaminate,
): Generator<void, Kept<Decontaminate>, void> {
  const [texts, known] = [textsOf(task, samples), textsOf(task, tested)];
  const equal = yield* equalTexts(texts, known);
  const grams = how === 'ngram' ? (yield* sharedGrams(texts, known)).train : [];
  const found = without(
    how,
    samples,
    equal.map((of, i) => (of < 0 ? (grams[i] ?? -1) : of)),
    tested,
  );
  if (found.kept.length === 0)
    throw new UserError(
      `decontaminate: ${how} leaves no training row: each of the ${samples.length} stands in the rows that are tested` +
        shownHits(found.leftOut.rows, 'tested row'),
    );
  return found;
}

function without<How extends string>(
  how: How,
  samples: readonly Sample[],
  of: ArrayLike<number>,
  others: readonly Sample[],
): Kept<How> {
  const hits = hitsOf(samples, of, others);
  return {
    kept: hits.length === 0 ? samples : samples.filter((_, i) => of[i]! < 0),
    leftOut: { how, count: hits.length, rows: firstHits(hits) },
  };
}

const WHY: {
  readonly deduplicate: Readonly<Record<Deduplicate, string>>;
  readonly decontaminate: Readonly<Record<Decontaminate, string>>;
} = {
  deduplicate: {
    exact: 'an earlier one has the text',
    near: 'an earlier one has the text, or nearly',
  },
  decontaminate: {
    exact: 'a tested row has the text',
    ngram: 'a tested row has the text, or 13 words in a row of it',
  },
};

/** A line for each reason. */
export function leftOutNotes({ deduplicate, decontaminate }: LeftOutRows): string[] {
  const line = ({ count, rows }: LeftOut, why: string, of: string): string[] =>
    count === 0
      ? []
      : [
          `${count} training row${count === 1 ? ' is' : 's are'} left out, because ${why}${shownHits(rows, of)}`,
        ];
  return [
    ...(deduplicate ? line(deduplicate, WHY.deduplicate[deduplicate.how], 'row') : []),
    ...(decontaminate ? line(decontaminate, WHY.decontaminate[decontaminate.how], 'tested row') : []),
  ];
}
