/**
 * What a task is: how a row of data becomes a sample, what is asked of a model about it, and how its answer is read. A task is a plain
 * value; everything that needs a tokenizer is in encode.ts, prompts.ts and answer.ts and works for every task alike.
 */

import type { Template } from './template.js';

/** The part of a tokenizer that tasks use; the class of src/tokenizer is one. */
export interface TokenizerLike {
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** The same of many texts, where the tokenizer is quicker so. */
  encodeBatch?(texts: readonly string[], options?: { addSpecialTokens?: boolean }): Promise<number[][]>;
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  readonly eosId: number | undefined;
  /** Of a model with an encoder: what its decoder's text begins with. Prompts are the encoder's texts then, and end as texts do. */
  readonly decoderStartId?: number | undefined;
}

/** Which figures score a task's answers; src/eval computes them. */
export type Metric = 'classification' | 'rouge' | 'exact_match';

/** What words are to ROUGE (src/eval/rouge.ts): rouge_score's runs of ASCII letters and digits, or Unicode's words. */
export type RougeTokenizer = 'ascii' | 'unicode';

/** A row of data: its cells by column. */
export type DataRow = Readonly<Record<string, unknown>>;

/** A row as a task sees it. */
export interface Sample {
  /** The row's number in its file, from 0. */
  readonly row: number;
  /** The texts that the prompts show, by column. */
  readonly values: Readonly<Record<string, string>>;
  /** The right answer, as the data has it; a label without white space around it. */
  readonly answer: string;
}

/** One label of several for each text. */
export interface ClassificationSettings {
  readonly task: 'classification';
  /** The classes; absent: those of the training rows, sorted. */
  readonly labels?: readonly string[] | undefined;
}

/** A short text for a long one. */
export interface SummarizationSettings {
  readonly task: 'summarization';
  readonly rouge_tokenizer?: RougeTokenizer | undefined;
}

/** A task by templates of the user’s own. */
export interface CustomSettings {
  readonly task: 'custom';
  /** Texts with columns in braces. */
  readonly prompt: string;
  readonly completion: string;
  readonly metric: 'accuracy' | 'rouge' | 'exact_match';
  /** Stands before the prompts of the zero-shot and few-shot baselines. */
  readonly instruction?: string | undefined;
  readonly labels?: readonly string[] | undefined;
  /** True: answers have several lines. False: line breaks in the data's answers become spaces. Absent: as the data has them. */
  readonly multiline?: boolean | undefined;
  readonly rouge_tokenizer?: RougeTokenizer | undefined;
}

/** A task's settings, told apart by `task`. */
export interface SettingsOf {
  readonly classification: ClassificationSettings;
  readonly summarization: SummarizationSettings;
  readonly custom: CustomSettings;
}

/** The tasks’ names. */
export type TaskName = keyof SettingsOf;

/** The settings of any task. */
export type TaskSettings = SettingsOf[TaskName];

/** What ends an answer before the model does: the end of its first line, the beginning of a next section (`###`). */
export interface AnswerEnds {
  readonly line: boolean;
  readonly marker: boolean;
}

/** What a task’s file makes of its settings and rows: templates, labels, how answers are read and scored. */
export interface Task {
  readonly task: TaskName;
  readonly metric: Metric;
  /** What a model is tuned on, up to the answer. */
  readonly prompt: Template;
  /** The answer, made of the row's columns. */
  readonly completion: Template;
  /** The column whose text is shortened where a prompt is too long. */
  readonly body: string;
  /** The data's answers become one line without white space around it: labels, and where a task asks for it. */
  readonly flat: boolean;
  /** A tuned model's answer ends by what no answer of the data has; another's by what few of them have. */
  readonly ends: { readonly tuned: AnswerEnds; readonly untuned: AnswerEnds };
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
  columns(settings: S): TaskColumns;
  /**
   * Rows of the whole training data, before any sampling, so that the labels do not depend on the sample; `testRows` say only how answers
   * look.
   */
  create(settings: S, trainRows: readonly DataRow[], testRows: readonly DataRow[]): Task;
}

/** The columns of a task, by the names that its templates have. */
export interface TaskColumns {
  readonly inputs: readonly string[];
  readonly answers: readonly string[];
  /** Groups of which one column at least must not be empty: else there is nothing to learn in a row. */
  readonly filled: readonly (readonly string[])[];
  /** May be missing from the table. */
  readonly optional: readonly string[];
}
