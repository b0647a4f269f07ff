/**
 * What a task is: how a row of data becomes a sample, what is asked of a model about it, and how its answer is read. A task is a plain
 * value; everything that needs a tokenizer is in encode.ts, prompts.ts and answer.ts and works for every task alike.
 */

import type { Template } from './template.js';

/** The part of a tokenizer that tasks use; the class of src/tokenizer is one. */
export interface TokenizerLike {
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  readonly eosId: number | undefined;
  /** Of a model with an encoder: what its decoder's text begins with. Prompts are the encoder's texts then, and end as texts do. */
  readonly decoderStartId?: number | undefined;
}

/** Which figures score a task's answers; src/eval computes them. */
export type Metric = 'classification' | 'rouge' | 'exact_match';

/** A row of data: its cells by column. */
export type DataRow = Readonly<Record<string, unknown>>;

export interface Sample {
  /** The row's number in its file, from 0. */
  readonly row: number;
  /** The texts that the prompts show, by column. */
  readonly values: Readonly<Record<string, string>>;
  /** The right answer, without white space around it. */
  readonly answer: string;
}

export interface ClassificationSettings {
  readonly task: 'classification';
  /** The classes; absent: those of the training rows, sorted. */
  readonly labels?: readonly string[] | undefined;
}

export interface SummarizationSettings {
  readonly task: 'summarization';
}

export interface CustomSettings {
  readonly task: 'custom';
  /** Texts with columns in braces. */
  readonly prompt: string;
  readonly completion: string;
  readonly metric: 'accuracy' | 'rouge' | 'exact_match';
  /** Stands before the prompts of the zero-shot and few-shot baselines. */
  readonly instruction?: string | undefined;
  readonly labels?: readonly string[] | undefined;
  /** An answer may have several lines; otherwise it ends at the first line break. */
  readonly multiline?: boolean | undefined;
}

/** A task's settings, told apart by `task`. */
export interface SettingsOf {
  readonly classification: ClassificationSettings;
  readonly summarization: SummarizationSettings;
  readonly custom: CustomSettings;
}

export type TaskName = keyof SettingsOf;
export type TaskSettings = SettingsOf[TaskName];

export interface Task {
  readonly task: TaskName;
  readonly metric: Metric;
  /** What a model is tuned on, up to the answer. */
  readonly prompt: Template;
  /** The answer, made of the row's columns. */
  readonly completion: Template;
  /** The column whose text is shortened where a prompt is too long. */
  readonly body: string;
  /** Line breaks belong to an answer; otherwise they end it, and those of the data's answers become spaces. */
  readonly multiline: boolean;
  /** The answers there are; absent: any text is one. */
  readonly labels?: readonly string[];
  /** How a model that was not tuned is asked. */
  readonly baseline: {
    readonly zeroShotInstruction: string;
    readonly fewShotInstruction: string;
    /** Shows the sample, up to the answer. */
    readonly query: Template;
  };
}

/** One file's worth of a task: what it needs of the data, and the task for given data. */
export interface TaskDefinition<S extends TaskSettings> {
  /** Columns that must be there and not be empty. */
  columns(settings: S): { readonly inputs: readonly string[]; readonly answers: readonly string[] };
  /** Rows of the whole training data, before any sampling, so that the labels do not depend on the sample. */
  create(settings: S, trainRows: readonly DataRow[]): Task;
}
