/**
 * Samples as token ids. Training and inference must see the same prompt: a prompt is encoded alone, and its answer is what encoding
 * both together adds behind it. Where a token would reach across the border (a merge of the prompt's last and the answer's first
 * character), the answer is encoded alone instead, so that a training example always begins with exactly the inference prompt's ids. A
 * model with an encoder reads the prompt there, ended as a text, and its decoder writes the answer alone.
 */

import { UserError } from '../util/errors.js';
import { encodeLater, encodeNow, sideBySide, type Encoding } from './rounds.js';
import { rowNumber } from './sample.js';
import { shorten } from './shorten.js';
import { render } from './template.js';
import type { Sample, Task, TokenizerLike } from './types.js';

/** A stretch of a training text, and whether it carries loss when only answers do. */
export interface Part {
  readonly text: string;
  readonly trained: boolean;
}

/** A tokenized training text. `labels[i]` is `ids[i]`, or -100 where no loss is wanted. The end-of-sequence token is its last. */
export interface TrainingExample {
  /** For a model with an encoder: the prompt, of which `ids` and `labels` then hold nothing. */
  readonly encoderIds?: number[];
  readonly ids: number[];
  readonly labels: number[];
  readonly row: number;
  /** Its body was cut to fit. */
  readonly shortened: boolean;
}

/** How training texts become tokens; names are TRL’s. */
export interface TrainingTextOptions {
  /** Tokens of an example at most, its end included, or of its prompt and its answer each where an encoder reads the one; absent: any number. */
  readonly max_length?: number | undefined;
  readonly completion_only_loss: boolean;
}

const NO_LOSS = -100;

/** A training text in its parts: the prompt, and the answer that is trained on. */
export function trainingParts(task: Task, sample: Sample): Part[] {
  return [
    { text: render(task.prompt, sample.values), trained: false },
    { text: sample.answer, trained: true },
  ];
}

/**
 * A sample to train on. One longer than `max_length` loses the end of its body, never a marker or a part of the answer. Throws
 * UserError where those alone are too long.
 */
export function trainingExample(
  task: Task,
  sample: Sample,
  tokenizer: TokenizerLike,
  options: TrainingTextOptions,
): TrainingExample {
  return encodeNow(tokenizer, example(task, sample, tokenizer, options));
}

/** The same of many samples, which are encoded side by side. */
export function trainingExamples(
  task: Task,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  options: TrainingTextOptions,
): Promise<TrainingExample[]> {
  return encodeLater(
    tokenizer,
    sideBySide(samples.map((sample) => example(task, sample, tokenizer, options))),
  );
}

function* example(
  task: Task,
  sample: Sample,
  tokenizer: TokenizerLike,
  { max_length = Infinity, completion_only_loss }: TrainingTextOptions,
): Encoding<TrainingExample> {
  const eos = endOfSequence(tokenizer);
  const encode = (body: string): Encoding<Pair> =>
    pair(tokenizer, render(task.prompt, { ...sample.values, [task.body]: body }), sample.answer);
  const body = sample.values[task.body]!;
  const { decoderStartId: start } = tokenizer;
  const cut = yield* shorten(body, max_length, function* (text) {
    const { prompt, answer } = yield* encode(text);
    const written = answer.length + 1;
    return start === undefined ? prompt.length + written : Math.max(prompt.length, 1 + written);
  });
  if (cut === undefined) {
    throw new UserError(
      `row ${rowNumber(sample)}: its prompt and answer are longer than max_length ${max_length} tokens even without ` +
        `its ${task.body}; raise training.max_length or leave the row out`,
    );
  }
  const { prompt, answer } = yield* encode(cut);
  if (start !== undefined) {
    const written = [...answer, eos];
    return {
      encoderIds: prompt,
      ids: [start, ...written],
      labels: [NO_LOSS, ...written],
      row: sample.row,
      shortened: cut !== body,
    };
  }
  const ids = [...prompt, ...answer, eos];
  const labels = completion_only_loss ? ids.map((id, i) => (i < prompt.length ? NO_LOSS : id)) : [...ids];
  return { ids, labels, row: sample.row, shortened: cut !== body };
}

/** A prompt and its answer, as ids. */
export interface Pair {
  readonly prompt: number[];
  /** The ids of the answer behind it, without an end. */
  readonly answer: number[];
}

/** A prompt and its answer as a model reads them: the answer’s ids are what encoding both adds to encoding the prompt. */
export function encodePair(tokenizer: TokenizerLike, prompt: string, answer: string): Pair {
  return encodeNow(tokenizer, pair(tokenizer, prompt, answer));
}

export function* pair(tokenizer: TokenizerLike, prompt: string, answer: string): Encoding<Pair> {
  const alone = { text: answer, special: false };
  if (tokenizer.decoderStartId !== undefined) {
    const [read, written] = yield [{ text: prompt, special: true }, alone];
    return { prompt: ended(tokenizer, read!), answer: written! };
  }
  const [first, both] = (yield [prompt, prompt + answer].map((text) => ({ text, special: true }))).map(
    (ids) => open(tokenizer, ids),
  );
  if (first!.every((id, i) => id === both![i])) return { prompt: first!, answer: both!.slice(first!.length) };
  const [apart] = yield [alone];
  return { prompt: first!, answer: apart! };
}

/** What a model is given: a text that the answer follows, or the whole text of an encoder. */
export function encodePrompt(tokenizer: TokenizerLike, text: string): number[] {
  return encodeNow(tokenizer, prompt(tokenizer, text));
}

/** The same of many texts. */
export function encodePrompts(tokenizer: TokenizerLike, texts: readonly string[]): Promise<number[][]> {
  return encodeLater(tokenizer, sideBySide(texts.map((text) => prompt(tokenizer, text))));
}

export function* prompt(tokenizer: TokenizerLike, text: string): Encoding<number[]> {
  const [ids] = yield [{ text, special: true }];
  return tokenizer.decoderStartId === undefined ? open(tokenizer, ids!) : ended(tokenizer, ids!);
}

/** Of a text that something follows: with the tokenizer's beginning, without an end that some tokenizers put behind every text. */
export function open(tokenizer: TokenizerLike, ids: number[]): number[] {
  return ids.length > 0 && ids.at(-1) === tokenizer.eosId ? ids.slice(0, -1) : ids;
}

/** Of an encoder's text, whether the tokenizer puts an end behind it or not. */
function ended(tokenizer: TokenizerLike, ids: number[]): number[] {
  return [...open(tokenizer, ids), endOfSequence(tokenizer)];
}

/** Throws UserError for a tokenizer that has none. */
export function endOfSequence(tokenizer: TokenizerLike): number {
  if (tokenizer.eosId === undefined) {
    throw new UserError(
      'the tokenizer has no end-of-sequence token, so no answer could end; set eos_token in tokenizer_config.json',
    );
  }
  return tokenizer.eosId;
}
