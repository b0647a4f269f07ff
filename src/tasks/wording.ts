/**
 * How a task's samples are put into words: what is trained on, and what is asked. There are two ways, templates over columns
 * (templates.ts) and conversations by a chat template (chat-wording.ts); everything else of a task is the same for both.
 */

import { UserError } from '../util/errors.js';
import type { Method } from './methods.js';
import type { Encoding } from './rounds.js';
import type { TokenizerLike } from './tokenizer.js';

/** A row of data: its cells by column. */
export type DataRow = Readonly<Record<string, unknown>>;

/** A row as a task sees it. */
export interface Sample {
  /** The row's number in its file, from 0; of a mixture's, among those of all of its sources, one behind the other. */
  readonly row: number;
  /** Of a mixture: the row's source, by its name, and the number of that source's first row. */
  readonly source?: { readonly name: string; readonly first: number } | undefined;
  /** The texts that the prompts show, by column. */
  readonly values: Readonly<Record<string, string>>;
  /** The right answer, as the data has it; a label without white space around it. */
  readonly answer: string;
}

/** A tokenized training text. `labels[i]` is `ids[i]`, or -100 where no loss is wanted. The end-of-sequence token is its last. */
export interface TrainingExample {
  /** For a model with an encoder: the prompt, of which `ids` and `labels` then hold nothing. */
  readonly encoderIds?: number[];
  readonly ids: number[];
  readonly labels: number[];
  readonly row: number;
  /** Of a mixture: the number of its source. */
  readonly source?: number | undefined;
  /** Its body was cut to fit. */
  readonly shortened: boolean;
}

/** How training texts become tokens; names are TRL’s. */
export interface TrainingTextOptions {
  /** Tokens of an example at most, its end included, or of its prompt and its answer each where an encoder reads the one; absent: any number. */
  readonly max_length?: number | undefined;
  readonly completion_only_loss: boolean;
}

/** What prompts are made with. */
export interface PromptOptions {
  /** Tokens of a prompt at most: the model's context less the new tokens. */
  readonly limit: number;
  /** For few_shot: the samples to show, of the training data. */
  readonly shown?: readonly Sample[];
}

/** The prompts of some samples. */
export interface PromptSet {
  readonly prompts: readonly {
    readonly index: number;
    readonly ids: number[];
    readonly shortened: boolean;
  }[];
  /** Prompts whose body was cut. */
  readonly shortened: number;
  /** For few_shot: how many examples stand in each prompt, how many were cut and how many had no room. */
  readonly examples: { readonly shown: number; readonly shortened: number; readonly dropped: number };
}

/** All that differs between ways of wording. `values` are a sample's. */
export interface Wording {
  /** What of a row its texts are made of, by column. Throws UserError for a cell that cannot stand in one. */
  values(cells: DataRow): Sample['values'];
  /** The right answer, as the data has it. */
  answer(values: Sample['values']): string;
  /** The texts that a prompt shows, without what stands around them: what rows are compared by. */
  compared(values: Sample['values']): string;
  /** What tells a row from others at a glance; of templates, the text that is shortened where a prompt is too long. */
  body(values: Sample['values']): string;
  /** A training text as tokens. Throws UserError where it cannot be trained on. */
  example(sample: Sample, tokenizer: TokenizerLike, options: TrainingTextOptions): Encoding<TrainingExample>;
  /** What a model is asked about samples. Throws UserError where the limit leaves no room. */
  prompts(
    kind: Method,
    samples: readonly Sample[],
    tokenizer: TokenizerLike,
    options: PromptOptions,
  ): Encoding<PromptSet>;
  /** Where prompts are texts whatever the tokenizer: one that a model is tuned on, and one about nothing, which labels stand behind. */
  readonly asText?: { prompt(values: Sample['values']): string; blank(kind: Method): string };
  /** What a model writes behind an answer. Absent: nothing but the text's end. */
  turnEnd?(tokenizer: TokenizerLike): string | undefined;
  /** Of what a model wrote, what counts. Absent: all of it. */
  spoken?(text: string): string;
  /** The chat template that asks the model so, where it is not the model's own: whoever takes what was trained needs it. */
  template?(tokenizer: TokenizerLike): string | undefined;
  /** What a person should know of how the model's tokenizer words the task. */
  notices?(tokenizer: TokenizerLike): string[];
  /** What is done to a training text that is too long, of how many: '3 of 9 training texts were shortened to'. */
  readonly shortened: string;
}

/** Of a sample that is left out of a training, where several are trained on: why. */
export class LeftOut extends UserError {}
