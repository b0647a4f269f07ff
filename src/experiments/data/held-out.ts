/**
 * Validation rows that are trained on or tested, too. What is chosen by rows that were trained on is what remembers most; and rows that
 * something was chosen by test nothing any more.
 */

import { textOf, type Sample, type Task } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import type { ResolvedTask } from '../config/index.js';
import { isSameSource } from '../config/same-source.js';
import type { SplitName } from '../config/splits.js';

interface HeldOutRows extends Readonly<Record<SplitName, readonly Sample[]>> {
  readonly task: Task;
}

/** As with test rows: some in common may be chance, most of them are one set under two names. */
const MOST = 0.5;

/** By the validation rows, and of which others: the same question is asked for each run. */
const KNOWN = new WeakMap<
  readonly Sample[],
  Pick<HeldOutRows, 'train' | 'test'> & { readonly counts: Record<'train' | 'test', number> }
>();

/** Numbers of validation rows that are rows of another set: of one file by their number, of two where every column is the same. */
function sharedRows(
  settings: ResolvedTask,
  { task, validation, ...sets }: HeldOutRows,
): Record<'train' | 'test', number> {
  const countIn = (split: 'train' | 'test'): number => {
    const [mine, other] = [settings.validation, settings[split]];
    // The parts of one file have no row in common.
    if (mine === undefined || mine.part || other === undefined) return 0;
    const oneFile = isSameSource(mine, other);
    const rowOf = (sample: Sample): unknown =>
      oneFile ? sample.row : JSON.stringify([textOf(task, sample), sample.answer]);
    const wanted = new Set(validation.map(rowOf));
    const there = new Set<unknown>();
    for (const sample of sets[split]) {
      const row = rowOf(sample);
      if (wanted.has(row)) there.add(row);
    }
    return validation.filter((sample) => there.has(rowOf(sample))).length;
  };
  const { train, test } = sets;
  const known = KNOWN.get(validation);
  if (known?.train === train && known.test === test) return known.counts;
  const counts = { train: countIn('train'), test: countIn('test') };
  KNOWN.set(validation, { train, test, counts });
  return counts;
}

/** The validation rows in the place of those that are answered at the end. */
export function asTested<Rows extends HeldOutRows>(rows: Rows): Rows {
  return { ...rows, test: rows.validation };
}

/** Throws UserError for a validation set of training rows, unless the configuration allows it, and for one of test rows. */
export function refuseHeldOut(settings: ResolvedTask, rows: HeldOutRows): void {
  const { name, tune, allow_overlap, validation, train } = settings;
  const all = rows.validation.length;
  const shared = sharedRows(settings, rows);
  if (shared.test > MOST * all)
    throw new UserError(
      `task '${name}': ${shared.test} of ${all} validation rows are test rows, and what is chosen by test rows they do not test; ` +
        'take other validation rows, or write split: {validation: 0.1}, which takes them from train',
    );
  const oneFile = validation !== undefined && train !== undefined && isSameSource(validation, train);
  if (!tune || allow_overlap || shared.train === 0 || (!oneFile && shared.train <= MOST * all)) return;
  throw new UserError(
    `task '${name}': ${shared.train} of ${all} validation rows are training rows, too, so that they would choose what remembers most; ` +
      `${oneFile ? 'write split: {validation: 0.1} in place of validation, which parts the rows of train' : 'take other validation rows'}, or ` +
      'allow_overlap: true',
  );
}

/** A line for each thing that a person should know of the validation rows. */
export function heldOutNotes(settings: ResolvedTask, rows: HeldOutRows): string[] {
  const shared = sharedRows(settings, rows);
  return Object.entries({ 'training rows': shared.train, 'test rows': shared.test }).flatMap(([of, count]) =>
    count > 0 ? [`${count} of ${rows.validation.length} validation rows are ${of}`] : [],
  );
}
