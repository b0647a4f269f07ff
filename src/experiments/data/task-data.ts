/** A task's data, read, checked, sampled, and turned into what training and generation take. */

import { splitRows, trainTestSplit } from '../../data/index.js';
import { createTask, taskRows, type DataRow, type Sample, type Task } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { joinedLists, type List } from '../../util/list.js';
import { abortable } from '../../util/turns.js';
import { inheritedNote, type ResolvedPart, type ResolvedSource, type ResolvedTask } from '../config/index.js';
import { bySplit, SPLIT_NAMES, type SplitName } from '../config/splits.js';
import { heldOutNotes } from './held-out.js';
import { decontaminated, deduplicated, type LeftOutRows } from './left-out.js';
import { mixed } from './mixture.js';
import { overlapNotes, overlapOf, sameFiles, type Overlap } from './overlap.js';
import { samplesOf } from './samples.js';
import { locate, readTables, type Table } from './tables.js';

/** A task with its samples: trained on, answered, set aside. */
export interface TaskData extends Readonly<Record<SplitName, readonly Sample[]>> {
  readonly task: Task;
  /** All rows of the training data, of which `train` may be a sample: few-shot examples are chosen from these. */
  readonly examples: readonly Sample[];
  /** The names of a mixture's sources; none, where the training rows are of one. */
  readonly sources: readonly string[];
  /** The local files that the rows are from. */
  readonly files: Readonly<Record<SplitName, readonly string[]>>;
  /** Rows that the sets have in common. */
  /** All that was read, by its path: what it was then. */
  readonly stamps: ReadonlyMap<string, string>;
  readonly overlap: Overlap;
  /** Training and test rows are numbered in the same files. */
  readonly sameFiles: boolean;
  /** What a person should know of it. */
  readonly notices: readonly string[];
}

/** Says of a task that the configuration's own file does not name where it comes from. */
export async function aboutTask<R>(
  { name, inheritedFrom }: ResolvedTask,
  work: () => Promise<R>,
): Promise<R> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UserError) || inheritedFrom === undefined) throw error;
    throw new UserError(`${error.message} (${inheritedNote(name, inheritedFrom)})`);
  }
}

/** `seed`: the run's, for what is drawn by none of its own. Rejects with an AbortError once `signal` is aborted. */
export function readTaskData(settings: ResolvedTask, seed: number, signal?: AbortSignal): Promise<TaskData> {
  return aboutTask(settings, () => readData(settings, seed, signal));
}

async function readData(settings: ResolvedTask, seed: number, signal?: AbortSignal): Promise<TaskData> {
  const notices: string[] = [];
  const tell = (notice: string): unknown => notices.push(notice);
  const takes = taskRows(settings.settings);
  const tables = bySplit((): readonly Table[] => []);
  for (const split of SPLIT_NAMES)
    tables[split] = isPart(settings, split)
      ? tables.train
      : await readTables(settings[split], takes, tell, signal);
  const rowsOf = (split: SplitName): List<DataRow>[] => tables[split].map(({ rows }) => rows);
  const strangers = OTHERS.filter((split) => !isPart(settings, split)).flatMap(rowsOf);
  const task = createTask(settings.settings, joinedLists(rowsOf('train')), joinedLists(strangers));
  const { leftOut, examples, ...sets } = await drawSets({ settings, seed, signal, task, tables, tell });
  const files = bySplit((split) => tables[split].flatMap((table) => table.files));
  const stamps = new Map(
    SPLIT_NAMES.flatMap((split) =>
      tables[split].flatMap((table) =>
        table.files.map((path, i): [string, string] => [path, table.stamps[i]!]),
      ),
    ),
  );
  const oneFile = sameFiles(files.train, files.test);
  // A mixture may have a row several times.
  const compared = { ...sets, train: [...new Set(sets.train)], examples, sameFiles: oneFile };
  const overlap = {
    ...(await abortable(signal, overlapOf(task, compared))),
    ...(Object.keys(leftOut).length > 0 && { left_out: leftOut }),
  };
  notices.push(...overlapNotes(overlap, { test_rows: sets.test.length, train_rows: sets.train.length }));
  notices.push(...heldOutNotes(settings, { ...sets, task }));
  notices.push(...flatNotices(task, [...examples, ...OTHERS.flatMap((split) => sets[split])]));
  const sources = tables.train.flatMap(({ mixed: of }) => of?.name ?? []);
  return { ...sets, task, examples, sources, files, stamps, overlap, sameFiles: oneFile, notices };
}

/** The splits but train. */
const OTHERS = SPLIT_NAMES.filter((split) => split !== 'train');

interface Drawing {
  readonly settings: ResolvedTask;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
  readonly task: Task;
  readonly tables: Readonly<Record<SplitName, readonly Table[]>>;
  readonly tell: (notice: string) => void;
}

interface DrawnSets extends Record<SplitName, readonly Sample[]> {
  readonly examples: readonly Sample[];
  readonly leftOut: LeftOutRows;
}

/** Which rows go where: repeats are left out, then parts are made, then what is tested is left out of the training, then rows are drawn. */
async function drawSets({ settings, seed, signal, task, tables, tell }: Drawing): Promise<DrawnSets> {
  const { train, deduplicate, decontaminate } = settings;
  const pick = (samples: readonly Sample[], source: ResolvedSource | undefined): readonly Sample[] => {
    const size = source?.count ?? source?.fraction;
    if (size === undefined || size === samples.length || source?.fraction === 1) return samples;
    const stratify = source!.stratify && task.labels ? classesOf(samples) : undefined;
    const options = { trainSize: size, stratify, randomState: source!.seed ?? seed };
    const picked = locate(source, () => trainTestSplit(samples.length, options)).train;
    return picked.map((i) => samples[i]!);
  };
  /** Of a mixture's source those that it gives. */
  const samplesIn = (split: SplitName): readonly Sample[] =>
    tables[split].flatMap((table) => {
      const samples = samplesOf(task, table);
      return table.mixed ? pick(samples, table.source) : samples;
    });
  const leftOut: { -readonly [Why in keyof LeftOutRows]: LeftOutRows[Why] } = {};
  let all = samplesIn('train');
  if (deduplicate !== undefined) {
    const { kept, leftOut: repeats } = await abortable(signal, deduplicated(task, all, deduplicate));
    [all, leftOut.deduplicate] = [kept, repeats];
  }
  const part = train?.part;
  const parts = part && locate(train, () => partsOf(task, all, part));
  const sets = bySplit((split) =>
    isPart(settings, split)
      ? (parts?.[split] ?? [])
      : split === 'train'
        ? []
        : pick(samplesIn(split), settings[split]),
  );
  let examples = parts?.train ?? all;
  if (decontaminate !== undefined) {
    const tested = OTHERS.flatMap((split) => sets[split]);
    const work = decontaminated(task, examples, tested, decontaminate);
    const { kept, leftOut: known } = await abortable(signal, work);
    [examples, leftOut.decontaminate] = [kept, known];
  }
  let epoch = examples;
  if (train && 'mixture' in train.from) {
    const { samples, notice } = mixed(examples, train.from, train.seed ?? seed, (own, count, source) =>
      pick(own, { ...source, count }),
    );
    tell(notice);
    epoch = samples;
  }
  return { ...sets, train: pick(epoch, train), examples, leftOut };
}

/** Whether its rows are some of the training file's. */
function isPart(settings: ResolvedTask, split: SplitName): boolean {
  return split !== 'train' && settings[split]?.part !== undefined;
}

/** The rows of a split's parts. */
function partsOf(
  task: Task,
  samples: readonly Sample[],
  { test, validation, stratify, seed }: ResolvedPart,
): Partial<Record<SplitName, readonly Sample[]>> {
  const labels = stratify && task.labels ? classesOf(samples) : undefined;
  const rows = splitRows(samples.length, { test, validation }, { stratify: labels, randomState: seed });
  const of = (part: readonly number[]): Sample[] => part.map((i) => samples[i]!);
  return { train: of(rows.train), validation: of(rows.validation), test: of(rows.test) };
}

/** Where a task's answers are not what the data has. */
function flatNotices(task: Task, samples: readonly Sample[]): string[] {
  if (!task.flat) return [];
  const changed = samples.filter(({ values, answer }) => task.wording.answer(values) !== answer).length;
  if (changed === 0) return [];
  const why = task.labels ? 'labels are' : 'multiline: false makes them';
  return [
    `${changed} of ${samples.length} answers lose line breaks or the white space around them: ${why} one line`,
  ];
}

/** The classes to stratify by, as scikit-learn sorts them: whole numbers by their value, anything else as text. */
function classesOf(samples: readonly Sample[]): string[] | number[] {
  const texts = samples.map((s) => s.answer);
  return texts.every((text) => /^(0|-?[1-9]\d{0,14})$/.test(text)) ? texts.map(Number) : texts;
}
