/**
 * Samples as token ids. Training and inference must see the same prompt: a prompt is encoded alone, and its answer is what encoding
 * both together adds behind it. Where a token would reach across the border (a merge of the prompt's last and the answer's first
 * character), the answer is encoded alone instead, so that a training example always begins with exactly the inference prompt's ids. A
 * model with an encoder reads the prompt there, ended as a text, and its decoder writes the answer alone.
 */

import { UserError } from '../util/errors.js';
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

export interface TrainingTextOptions {
  /** Tokens of an example at most, its end included, or of its prompt and its answer each where an encoder reads the one; absent: any number. */
  readonly max_length?: number | undefined;
  readonly completion_only_loss: boolean;
}

const NO_LOSS = -100;

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
  { max_length = Infinity, completion_only_loss }: TrainingTextOptions,
): TrainingExample {
  const eos = endOfSequence(tokenizer);
  const encode = (body: string): { prompt: number[]; answer: number[] } => {
    const prompt = render(task.prompt, { ...sample.values, [task.body]: body });
    return encodePair(tokenizer, prompt, sample.answer);
  };
  const body = sample.values[task.body]!;
  const { decoderStartId: start } = tokenizer;
  const cut = shorten(body, max_length, (text) => {
    const { prompt, answer } = encode(text);
    const written = answer.length + 1;
    return start === undefined ? prompt.length + written : Math.max(prompt.length, 1 + written);
  });
  if (cut === undefined) {
    throw new UserError(
      `row ${sample.row + 1}: its prompt and answer are longer than max_length ${max_length} tokens even without ` +
        `its ${task.body}; raise training.max_length or leave the row out`,
    );
  }
  const { prompt, answer } = encode(cut);
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

/** The ids of a prompt, and those of the answer behind it (without an end). */
export function encodePair(
  tokenizer: TokenizerLike,
  prompt: string,
  answer: string,
): { prompt: number[]; answer: number[] } {
  const promptIds = encodePrompt(tokenizer, prompt);
  if (tokenizer.decoderStartId !== undefined)
    return { prompt: promptIds, answer: tokenizer.encode(answer, { addSpecialTokens: false }) };
  const both = encodeOpen(tokenizer, prompt + answer);
  const apart = promptIds.some((id, i) => id !== both[i]);
  return {
    prompt: promptIds,
    answer: apart ? tokenizer.encode(answer, { addSpecialTokens: false }) : both.slice(promptIds.length),
  };
}

/** What a model is given: a text that the answer follows, or the whole text of an encoder. */
export function encodePrompt(tokenizer: TokenizerLike, text: string): number[] {
  const ids = encodeOpen(tokenizer, text);
  return tokenizer.decoderStartId === undefined ? ids : [...ids, endOfSequence(tokenizer)];
}

/** A text that something follows: with the tokenizer's beginning, without an end that some tokenizers put behind every text. */
export function encodeOpen(tokenizer: TokenizerLike, text: string): number[] {
  const ids = tokenizer.encode(text);
  return ids.length > 0 && ids.at(-1) === tokenizer.eosId ? ids.slice(0, -1) : ids;
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
