/** A task's data, read, checked, sampled, and turned into what training and generation take. */

import { basename } from 'node:path';
import {
  packConcat,
  packIsolated,
  readTable,
  selectColumns,
  trainTestSplit,
  unpacked,
  type Block,
  type ReadOptions,
  type Row,
} from '../../data/index.js';
import { resolveDataset } from '../../files/index.js';
import {
  createTask,
  toSample,
  trainingExample,
  type DataRow,
  type Sample,
  type Task,
  type TokenizerLike,
  type TrainingExample,
} from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { inheritedNote, type ResolvedSource, type ResolvedTask } from '../config/index.js';

export interface TaskData {
  readonly task: Task;
  readonly train: readonly Sample[];
  /** All rows of the training data, of which `train` may be a sample: few-shot examples are chosen from these. */
  readonly examples: readonly Sample[];
  readonly test: readonly Sample[];
  /** What a person should know of it. */
  readonly notices: readonly string[];
}

/** The local files of a source. */
export async function sourceFiles({ from }: ResolvedSource): Promise<string[]> {
  if ('path' in from) return [from.path];
  const { hub, ...options } = from;
  const splits = await resolveDataset(hub, options);
  const files = splits[from.split];
  if (!files)
    throw new UserError(`${hub} has no split '${from.split}'; it has ${Object.keys(splits).join(', ')}`);
  return files;
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

/** `seed`: the run's, for what is drawn by none of its own. */
export function readTaskData(settings: ResolvedTask, seed: number): Promise<TaskData> {
  return aboutTask(settings, () => readData(settings, seed));
}

async function readData(settings: ResolvedTask, seed: number): Promise<TaskData> {
  const notices: string[] = [];
  const load = async (
    source: ResolvedSource | undefined,
  ): Promise<{ rows: DataRow[]; indices: number[] }> => {
    if (!source) return { rows: [], indices: [] };
    const files = await sourceFiles(source);
    const { format, delimiter }: ReadOptions = 'path' in source.from ? source.from : { format: 'parquet' };
    const table: Row[] = [];
    // One after the other: a Parquet file is decoded in a process of its own.
    for (const file of files) for (const row of await readTable(file, { format, delimiter })) table.push(row);
    const where = nameOf(source);
    const { rows, indices, dropped } = selectColumns(table, source.columns, where);
    if (dropped.length > 0) notices.push(droppedNotice(where, table.length, dropped));
    if (rows.length === 0)
      throw new UserError(
        `${where}: not one of its ${table.length} rows has ${Object.values(source.columns).join(' and ')} filled in`,
      );
    return { rows, indices };
  };
  const trainTable = await load(settings.train);
  const testTable = await load(settings.test);
  const task = createTask(settings.settings, trainTable.rows);
  const samplesOf = (table: typeof trainTable, source: ResolvedSource | undefined): Sample[] =>
    locate(source, () => table.rows.map((row, i) => toSample(task, row, table.indices[i]!)));
  const pick = (samples: Sample[], source: ResolvedSource | undefined): Sample[] => {
    const size = source?.count ?? source?.fraction;
    if (size === undefined || size === samples.length || source?.fraction === 1) return samples;
    const stratify = source!.stratify && task.labels ? classesOf(samples) : undefined;
    const options = { trainSize: size, stratify, randomState: source!.seed ?? seed };
    const picked = locate(source, () => trainTestSplit(samples.length, options)).train;
    return picked.map((i) => samples[i]!);
  };
  const examples = samplesOf(trainTable, settings.train);
  const train = pick(examples, settings.train);
  return { task, train, examples, test: pick(samplesOf(testTable, settings.test), settings.test), notices };
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

/** A row's training text before packing: concatenated texts are cut at the block's end, others are shortened to a block. */
export function exampleOf(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: TokenizerLike,
  sample: Sample,
): TrainingExample {
  const { max_length, completion_only_loss, packing } = settings.training;
  const limit = packing === 'concat' ? undefined : max_length;
  return trainingExample(data.task, sample, tokenizer, { max_length: limit, completion_only_loss });
}

/** The training rows as packed blocks; texts that had to be shortened are counted in the notice. */
export function trainingBlocks(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: TokenizerLike & { readonly eosId: number | undefined },
): { blocks: Block[]; notices: string[] } {
  const { max_length, packing } = settings.training;
  const examples = data.train.map((s) => exampleOf(data, settings, tokenizer, s));
  const shortened = examples.filter((e) => e.shortened).length;
  const options = { length: max_length, describeRow: (row: number) => describeRow(data, row) };
  const blocks =
    packing === 'none'
      ? unpacked(examples, options)
      : packing === 'isolated'
        ? packIsolated(examples, options)
        : packConcat(examples, { ...options, eosTokenId: tokenizer.eosId! });
  const notices =
    shortened > 0
      ? [`${shortened} of ${examples.length} training texts were shortened to max_length ${max_length}`]
      : [];
  return { blocks, notices };
}

/** A training row for a message: its number and its beginning. */
export function describeRow(data: TaskData, row: number): string {
  const sample = data.train.find((s) => s.row === row);
  if (!sample) return `row ${row + 1}`;
  const text = sample.values[data.task.body]!.replace(/\s+/g, ' ').trim();
  return `row ${row + 1} ("${text.length > 40 ? text.slice(0, 40) + '…' : text}")`;
}

function droppedNotice(
  where: string,
  total: number,
  dropped: readonly { index: number; column: string }[],
): string {
  const columns = [...new Set(dropped.map((d) => d.column))].join(', ');
  const first = dropped
    .slice(0, 5)
    .map((d) => d.index + 1)
    .join(', ');
  return (
    `${basename(where)}: ${dropped.length} of ${total} rows left out because ${columns} is empty ` +
    `(row${dropped.length > 1 ? 's' : ''} ${first}${dropped.length > 5 ? ', …' : ''})`
  );
}
