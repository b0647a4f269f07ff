/** Training rows as the model sees them, token by token. */

import { IGNORE_INDEX } from '../../data/index.js';
import type { Sample, TrainingExample } from '../../tasks/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import type { ResolvedTask } from '../config/index.js';
import type { TaskData } from './task-data.js';
import { exampleOf } from './training-blocks.js';

/** A token with its own text; several tokens of one character share the last one's. */
export interface ShownToken {
  readonly id: number;
  readonly text: string;
  readonly trained: boolean;
}

export interface ShownRow {
  /** Its number in the data, from 0; of a mixture's, in its source, which has a name there. */
  readonly row: number;
  readonly source?: string | undefined;
  /** Its body was cut to fit. */
  readonly shortened: boolean;
  /** Tokens that are trained on. */
  readonly trained: number;
  readonly tokens: readonly ShownToken[];
}

/** What a run keeps of it is read again without the ids. */
export type KeptRow = Omit<ShownRow, 'tokens'> & { readonly tokens: readonly Omit<ShownToken, 'id'>[] };

/** Throws UserError for a row that cannot be trained on. */
export async function showRow(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: Tokenizer,
  sample: Sample,
): Promise<ShownRow> {
  const example = exampleOf(data, settings, tokenizer, sample);
  const tokens = await tokensOf(example, tokenizer, settings.training.packing !== 'concat');
  const { shortened } = example;
  const { row, source } = sample;
  const numbered = source ? { row: row - source.first, source: source.name } : { row };
  return { ...numbered, shortened, trained: tokens.filter((t) => t.trained).length, tokens };
}

/**
 * What an encoder reads, where there is one, then the text. `firstAlone`: nothing stands before the text's first token, so that nothing
 * predicts it.
 */
async function tokensOf(
  example: TrainingExample,
  tokenizer: Tokenizer,
  firstAlone: boolean,
): Promise<ShownToken[]> {
  const { encoderIds, ...written } = example;
  if (encoderIds !== undefined) {
    const read = { ...written, ids: encoderIds, labels: encoderIds.map(() => IGNORE_INDEX) };
    return [...(await tokensOf(read, tokenizer, true)), ...(await tokensOf(written, tokenizer, true))];
  }
  const stream = tokenizer.stream({ skipSpecialTokens: false, isText: true });
  await stream.prepare(example.ids);
  const last = example.ids.length - 1;
  return example.ids.map((id, i) => ({
    id,
    text: stream.push(id) + (i === last ? stream.end() : ''),
    trained: example.labels[i]! >= 0 && (i > 0 || !firstAlone),
  }));
}
