/**
 * What a task is: how a row of data becomes a sample, what is asked of a model about it, and how its answer is read. A task is a plain
 * value; everything that needs a tokenizer is in encode.ts, prompts.ts and answer.ts and works for every task alike.
 */

import type { z } from 'zod';
import type { Metric } from '../eval/index.js';
import type { Settings } from '../util/settings.js';
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

/** A row of data: its cells by column. */
export type DataRow = Readonly<Record<string, unknown>>;

/** A row as a task sees it. */
export interface Sample {
  /** The row's number in its file, from 0; of a mixture's, among those of all of its sources, one behind the other. */
  readonly row: number;
  /** Of a mixture: the row's source, by its name, and the number of that source's first row. */
  readonly source?: { readonly name: string; readonly first: number };
  /** The texts that the prompts show, by column. */
  readonly values: Readonly<Record<string, string>>;
  /** The right answer, as the data has it; a label without white space around it. */
  readonly answer: string;
}

/** What ends an answer before the model does: the end of its first line, the beginning of a next section (`###`). */
export interface AnswerEnds {
  readonly line: boolean;
  readonly marker: boolean;
}

/** What a task’s file makes of its settings and rows: templates, labels, how answers are read and scored. */
export interface Task {
  /** Its kind, by the name that `tasks` has for it. */
  readonly task: string;
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

/** What a configuration's settings are where it has none, as far as that is another for each kind of task. */
export interface TaskDefaults {
  readonly r: number;
  readonly num_train_epochs: number;
  readonly max_new_tokens: number;
  /** Absent: as max_new_tokens. */
  readonly baseline_max_new_tokens?: number;
  /** Of each class where there are labels, else in all. */
  readonly few_shot_examples: number;
}

/** What a configuration's section has beside the settings that are a task's own, as far as these may not fit it. */
interface TaskSection {
  readonly train?: unknown;
  readonly scoring?: 'generate' | 'likelihood' | 'both' | undefined;
}

/** Settings that do not fit together; `path` is that of the setting, [] of the task. */
interface TaskProblem {
  readonly path: readonly string[];
  readonly message: string;
}

/** One file's worth of a task: its part of a configuration, what it needs of the data, and the task for given data. */
export interface TaskDefinition<S extends { readonly task: string }> {
  /** What it is, for people. */
  readonly description: string;
  /** What a report calls one: 'A classification'. */
  readonly noun: string;
  /** The settings that are its own. With `labels` among them answers may be compared by likelihood. */
  readonly settings: Settings;
  /** How a configuration names the data's columns. */
  readonly columnNames: {
    readonly type: z.ZodType<Readonly<Record<string, string | undefined>>>;
    readonly description: string;
  };
  readonly defaults: TaskDefaults;
  /** The task's section of the configuration that `westwind init` writes. */
  readonly starter: string;
  metric(settings: S): Metric;
  problems?(settings: S, section: TaskSection): TaskProblem[];
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
