/** A task's data, read, checked, sampled, and turned into what training and generation take. */

import {
  packConcat,
  packIsolated,
  readTable,
  splitRows,
  trainTestSplit,
  unpacked,
  type Block,
  type ReadOptions,
  type Row,
} from '../../data/index.js';
import { resolveDataset } from '../../files/index.js';
import {
  createTask,
  taskRows,
  toSample,
  trainingExample,
  trainingExamples,
  type DataRow,
  type Sample,
  type Task,
  type TokenizerLike,
  type TrainingExample,
  type TrainingTextOptions,
} from '../../tasks/index.js';
import { throwIfAborted } from '../../util/abort.js';
import { UserError } from '../../util/errors.js';
import { own } from '../../util/own.js';
import { inTurns } from '../../util/turns.js';
import { inheritedNote, type ResolvedPart, type ResolvedSource, type ResolvedTask } from '../config/index.js';
import { bySplit, SPLIT_NAMES, type SplitName } from '../config/splits.js';
import { heldOutNotes } from './held-out.js';
import { decontaminated, deduplicated, type LeftOutRows } from './left-out.js';
import { overlapNotes, overlapOf, sameFiles, type Overlap } from './overlap.js';

/** A task with its samples: trained on, answered, set aside. */
export interface TaskData extends Readonly<Record<SplitName, readonly Sample[]>> {
  readonly task: Task;
  /** All rows of the training data, of which `train` may be a sample: few-shot examples are chosen from these. */
  readonly examples: readonly Sample[];
  /** Rows that the sets have in common. */
  readonly overlap: Overlap;
  /** Training and test rows are numbered in the same files. */
  readonly sameFiles: boolean;
  /** What a person should know of it. */
  readonly notices: readonly string[];
}

/** The local files of a source. */
export async function sourceFiles({ from }: ResolvedSource, signal?: AbortSignal): Promise<string[]> {
  if ('path' in from) return [from.path];
  const { hub, ...options } = from;
  const splits = await resolveDataset(hub, { ...options, ...(signal && { signal }) });
  const files = own(splits, from.split);
  if (!files)
    throw new UserError(`${hub} has no split '${from.split}'; it has ${Object.keys(splits).join(', ')}`);
  return files;
}

interface Table {
  readonly rows: readonly DataRow[];
  readonly indices: readonly number[];
  readonly files: readonly string[];
}

const NO_TABLE: Table = { rows: [], indices: [], files: [] };

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
  const takes = taskRows(settings.settings);
  const load = async (source: ResolvedSource | undefined): Promise<Table> => {
    if (!source) return NO_TABLE;
    const files = await sourceFiles(source, signal);
    const { format, delimiter }: ReadOptions = 'path' in source.from ? source.from : { format: 'parquet' };
    const table: Row[] = [];
    // One after the other: a Parquet file is decoded in a process of its own.
    for (const file of files)
      for (const row of await readTable(file, { format, delimiter, signal })) table.push(row);
    const where = nameOf(source);
    const { rows, indices, notices: told } = takes.select(table, source.columns, where);
    notices.push(...told);
    return { rows, indices, files };
  };
  const tables = bySplit(() => NO_TABLE);
  for (const split of SPLIT_NAMES)
    tables[split] = isPart(settings, split) ? tables.train : await load(settings[split]);
  const others = SPLIT_NAMES.filter((split) => split !== 'train');
  const strangers = others.filter((split) => !isPart(settings, split)).flatMap((split) => tables[split].rows);
  const task = createTask(settings.settings, tables.train.rows, strangers);
  const samplesOf = (split: SplitName): Sample[] => {
    const { rows, indices } = tables[split];
    return locate(settings[split], () => rows.map((row, i) => toSample(task, row, indices[i]!)));
  };
  const pick = (samples: readonly Sample[], source: ResolvedSource | undefined): readonly Sample[] => {
    const size = source?.count ?? source?.fraction;
    if (size === undefined || size === samples.length || source?.fraction === 1) return samples;
    const stratify = source!.stratify && task.labels ? classesOf(samples) : undefined;
    const options = { trainSize: size, stratify, randomState: source!.seed ?? seed };
    const picked = locate(source, () => trainTestSplit(samples.length, options)).train;
    return picked.map((i) => samples[i]!);
  };
  const leftOut: { -readonly [Why in keyof LeftOutRows]: LeftOutRows[Why] } = {};
  let all: readonly Sample[] = samplesOf('train');
  if (settings.deduplicate !== undefined) {
    const { kept, leftOut: repeats } = await abortable(signal, deduplicated(task, all, settings.deduplicate));
    [all, leftOut.deduplicate] = [kept, repeats];
  }
  const part = settings.train?.part;
  const parts = part && locate(settings.train, () => partsOf(task, all, part));
  let examples = parts?.train ?? all;
  const sets = bySplit((split) =>
    isPart(settings, split)
      ? (parts?.[split] ?? [])
      : split === 'train'
        ? []
        : pick(samplesOf(split), settings[split]),
  );
  if (settings.decontaminate !== undefined) {
    const tested = others.flatMap((split) => sets[split]);
    const { kept, leftOut: known } = await abortable(
      signal,
      decontaminated(task, examples, tested, settings.decontaminate),
    );
    [examples, leftOut.decontaminate] = [kept, known];
  }
  sets.train = pick(examples, settings.train);
  const oneFile = sameFiles(tables.train.files, tables.test.files);
  const overlap = {
    ...(await abortable(signal, overlapOf(task, { ...sets, examples, sameFiles: oneFile }))),
    ...(Object.keys(leftOut).length > 0 && { left_out: leftOut }),
  };
  notices.push(...overlapNotes(overlap, { test_rows: sets.test.length, train_rows: sets.train.length }));
  notices.push(...heldOutNotes(settings, { ...sets, task }));
  notices.push(...flatNotices(task, [...examples, ...others.flatMap((split) => sets[split])]));
  return { ...sets, task, examples, overlap, sameFiles: oneFile, notices };
}

/** Rejects with an AbortError once `signal` is aborted. */
function abortable<T>(signal: AbortSignal | undefined, work: Iterator<void, T, void>): Promise<T> {
  return inTurns(work, (body) => {
    throwIfAborted(signal);
    return body();
  });
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
  const changed = samples.filter(({ values, answer }) => task.wording.answer(values) !== answer).length;
  if (changed === 0) return [];
  const why = task.labels ? 'labels are' : 'multiline: false makes them';
  return [
    `${changed} of ${samples.length} answers lose line breaks or the white space around them: ${why} one line`,
  ];
}

/** Puts the source's name before what is wrong with its rows. */
function locate<R>(source: ResolvedSource | undefined, work: () => R): R {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError) || source === undefined) throw error;
    throw new UserError(`${nameOf(source)}: ${error.message}`);
  }
}

function nameOf({ from }: ResolvedSource): string {
  return 'path' in from ? from.path : from.hub;
}

/** The classes to stratify by, as scikit-learn sorts them: whole numbers by their value, anything else as text. */
function classesOf(samples: readonly Sample[]): string[] | number[] {
  const texts = samples.map((s) => s.answer);
  return texts.every((text) => /^(0|-?[1-9]\d{0,14})$/.test(text)) ? texts.map(Number) : texts;
}

/** What a person should know of a task's rows, and of how the model's tokenizer words them. */
export function noticesOf({ notices, task }: TaskData, tokenizer: TokenizerLike): string[] {
  return [...notices, ...(task.wording.notices?.(tokenizer) ?? [])];
}

/** A row's training text before packing: concatenated texts are cut at the block's end, others are shortened to a block. */
export function exampleOf(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: TokenizerLike,
  sample: Sample,
): TrainingExample {
  return trainingExample(data.task, sample, tokenizer, textOptions(settings));
}

function textOptions({ training }: ResolvedTask): TrainingTextOptions {
  const { max_length, completion_only_loss, packing } = training;
  return { max_length: packing === 'concat' ? undefined : max_length, completion_only_loss };
}

/** The training rows as packed blocks; texts that had to be shortened are counted in the notice. */
export async function trainingBlocks(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: TokenizerLike & { readonly eosId: number | undefined },
): Promise<{ blocks: Block[]; notices: string[] }> {
  const { max_length, packing } = settings.training;
  const examples = await trainingExamples(data.task, data.train, tokenizer, textOptions(settings));
  const shortened = examples.filter((e) => e.shortened).length;
  const options = { length: max_length, describeRow: (row: number) => describeRow(data, row) };
  const blocks =
    packing === 'none'
      ? unpacked(examples, options)
      : packing === 'isolated'
        ? packIsolated(examples, options)
        : packConcat(examples, { ...options, eosTokenId: tokenizer.eosId! });
  const { shortened: lost } = data.task.wording;
  const notices =
    shortened > 0 ? [`${shortened} of ${data.train.length} ${lost} max_length ${max_length}`] : [];
  if (examples.length < data.train.length)
    notices.push(leftOutNotice(data.train, examples, `they have no room within max_length ${max_length}`));
  return { blocks, notices };
}

/** Throws UserError where none is left. */
function leftOutNotice(samples: readonly Sample[], kept: readonly TrainingExample[], why: string): string {
  const there = new Set(kept.map(({ row }) => row));
  const rows = samples.filter(({ row }) => !there.has(row)).map(({ row }) => row + 1);
  const named = `(rows ${rows.slice(0, 5).join(', ')}${rows.length > 5 ? ', …' : ''})`;
  if (kept.length === 0)
    throw new UserError(`not one of ${samples.length} training rows can be trained on, for ${why} ${named}`);
  return `${rows.length} of ${samples.length} training rows were left out, for ${why} ${named}`;
}

/** A training row for a message: its number and its beginning. */
export function describeRow(data: TaskData, row: number): string {
  const sample = data.train.find((s) => s.row === row);
  if (!sample) return `row ${row + 1}`;
  const text = data.task.wording.body(sample.values).replace(/\s+/g, ' ').trim();
  return `row ${row + 1} ("${text.length > 40 ? text.slice(0, 40) + '…' : text}")`;
}
