/**
 * Samples as token ids. Training and inference must see the same prompt: a prompt is encoded alone, and its answer is what encoding
 * both together adds behind it. Where a token would reach across the border (a merge of the prompt's last and the answer's first
 * character), the answer is encoded alone instead, so that a training example always begins with exactly the inference prompt's ids. A
 * model with an encoder reads the prompt there, ended as a text, and its decoder writes the answer alone.
 */

import { UserError } from '../util/errors.js';
import { encodeLater, encodeNow, sideBySide, type Encoding } from './rounds.js';
import type { TokenizerLike } from './tokenizer.js';
import type { Task } from './types.js';
import { LeftOut, type Sample, type TrainingExample, type TrainingTextOptions } from './wording.js';

/** A stretch of a training text, and whether it carries loss when only answers do. */
export interface Part {
  readonly text: string;
  readonly trained: boolean;
}

/** The label of a token that is not trained on. */
export const NO_LOSS = -100;

/** A training text in its parts: the prompt, and the answer that is trained on. Throws Error for a chat, whose parts a template makes. */
export function trainingParts(task: Task, sample: Sample): Part[] {
  const prompt = task.wording.asText?.prompt(sample.values);
  if (prompt === undefined)
    throw new Error(`the texts of a ${task.task} are made by a model's chat template`);
  return [
    { text: prompt, trained: false },
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
  return encodeNow(tokenizer, task.wording.example(sample, tokenizer, options));
}

/** The same of many samples, which are encoded side by side; those that must be left out are missing. */
export async function trainingExamples(
  task: Task,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  options: TrainingTextOptions,
): Promise<TrainingExample[]> {
  const examples = await encodedExamples(task, samples, tokenizer, options);
  return examples.filter((example) => example !== undefined);
}

/** The same, undefined in the places of those that must be left out. */
export function encodedExamples(
  task: Task,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  options: TrainingTextOptions,
): Promise<(TrainingExample | undefined)[]> {
  return encodeLater(
    tokenizer,
    sideBySide(samples.map((sample) => unlessLeftOut(task.wording.example(sample, tokenizer, options)))),
  );
}

function* unlessLeftOut(work: Encoding<TrainingExample>): Encoding<TrainingExample | undefined> {
  try {
    return yield* work;
  } catch (error) {
    if (error instanceof LeftOut) return undefined;
    throw error;
  }
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
    return { prompt: ended(tokenizer, read!.ids), answer: written!.ids };
  }
  const [first, both] = (yield [prompt, prompt + answer].map((text) => ({ text, special: true }))).map(
    ({ ids }) => open(tokenizer, ids),
  );
  if (first!.every((id, i) => id === both![i])) return { prompt: first!, answer: both!.slice(first!.length) };
  const [apart] = yield [alone];
  return { prompt: first!, answer: apart!.ids };
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
  const [encoded] = yield [{ text, special: true }];
  const { ids } = encoded!;
  return tokenizer.decoderStartId === undefined ? open(tokenizer, ids) : ended(tokenizer, ids);
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
