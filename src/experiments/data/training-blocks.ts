/** A task's training rows as the blocks that a model trains on. */

import { packConcat, packIsolated, unpacked, type Block, type ConcatOptions } from '../../data/index.js';
import { areLarge } from '../../data/read.js';
import { storedBlocks } from '../../data/stored-blocks.js';
import {
  endOfSequence,
  rowNumber,
  trainingExample,
  trainingExamples,
  type Sample,
  type TokenizerLike,
  type TrainingExample,
  type TrainingTextOptions,
} from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { abortable } from '../../util/turns.js';
import type { ResolvedTask } from '../config/index.js';
import { encodedFile, sourceNumbers, type Encoding } from './encoding.js';
import type { TaskData } from './task-data.js';

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

/** How a task's texts become tokens. */
export function textOptions({ training }: ResolvedTask): TrainingTextOptions {
  const { max_length, completion_only_loss, packing } = training;
  return { max_length: packing === 'concat' ? undefined : max_length, completion_only_loss };
}

/**
 * The training rows as packed blocks; texts that had to be shortened are counted in the notice. Those of large files stand in the cache, and
 * are read from there when a block is asked for.
 */
export async function trainingBlocks(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: TokenizerLike & { readonly eosId: number | undefined; readonly folder?: string },
  encoding: Encoding = {},
): Promise<{ blocks: Block[]; notices: string[] }> {
  const { max_length: length, packing } = settings.training;
  const describe = (row: number): string => describeRow(data, row);
  // Texts that have room of their own are told apart without it.
  const eosTokenId = packing === 'concat' ? endOfSequence(tokenizer) : -1;
  const options: ConcatOptions = { length, describeRow: describe, eosTokenId };
  const { folder } = tokenizer;
  if (folder !== undefined && areLarge(data.files.train)) {
    const work = { data, settings, tokenizer, folder, texts: textOptions(settings), options };
    const file = await encodedFile(work, encoding);
    const left = data.train.filter((_, i) => file.isLeftOut(i));
    let shortened = 0;
    for (let i = 0; i < file.length; i++) if (file.isShortened(i)) shortened++;
    return {
      blocks: await abortable(encoding.signal, storedBlocks(file, packing, options)),
      notices: noticesOn(data, settings, shortened, left),
    };
  }
  const examples = withSources(
    data,
    await trainingExamples(data.task, data.train, tokenizer, textOptions(settings)),
  );
  const blocks =
    packing === 'none'
      ? unpacked(examples, options)
      : packing === 'isolated'
        ? packIsolated(examples, options)
        : packConcat(examples, options);
  const shortened = examples.filter((e) => e.shortened).length;
  const kept = new Set(examples.map(({ row }) => row));
  const left = kept.size < data.train.length ? data.train.filter(({ row }) => !kept.has(row)) : [];
  return { blocks, notices: noticesOn(data, settings, shortened, left) };
}

/** The same with the numbers of their sources, where they are of a mixture. */
function withSources(data: TaskData, examples: TrainingExample[]): TrainingExample[] {
  if (data.sources.length === 0) return examples;
  const numberOf = sourceNumbers(data);
  const numbers = new Map(data.train.map((sample) => [sample.row, numberOf(sample)]));
  return examples.map((example) => ({ ...example, source: numbers.get(example.row) }));
}

/** What was done to texts that are too long. `left`: rows that had to be left out. Throws UserError where no others are left. */
function noticesOn(
  { task, train }: TaskData,
  { training: { max_length } }: ResolvedTask,
  shortened: number,
  left: readonly Sample[],
): string[] {
  const notices =
    shortened > 0
      ? [`${shortened} of ${train.length} ${task.wording.shortened} max_length ${max_length}`]
      : [];
  if (left.length === 0) return notices;
  const named = `(rows ${left.slice(0, 5).map(rowNumber).join(', ')}${left.length > 5 ? ', …' : ''})`;
  const why = `they have no room within max_length ${max_length}`;
  if (left.length === train.length)
    throw new UserError(`not one of ${train.length} training rows can be trained on, for ${why} ${named}`);
  return [...notices, `${left.length} of ${train.length} training rows were left out, for ${why} ${named}`];
}

/** A training row for a message: its number and its beginning. */
export function describeRow(data: TaskData, row: number): string {
  const sample = data.train.find((s) => s.row === row);
  if (!sample) return `row ${row + 1}`;
  const text = data.task.wording.body(sample.values).replace(/\s+/g, ' ').trim();
  return `row ${rowNumber(sample)} ("${text.length > 40 ? text.slice(0, 40) + '…' : text}")`;
}
