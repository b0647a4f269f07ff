/**
 * What a task is: how a row of data becomes a sample, what is asked of a model about it, and how its answer is read. How samples become
 * texts is its wording (wording.ts); encode.ts, prompts.ts and answer.ts work for every task alike.
 */

import type { z } from 'zod';
import type { Metric } from '../eval/index.js';
import type { Settings } from '../util/settings.js';
import type { Baseline } from './methods.js';
import type { TaskColumns, TaskRows } from './rows.js';
import type { DataRow, Wording } from './wording.js';

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
  /** How its samples become texts. */
  readonly wording: Wording;
  /** The data's answers become one line without white space around it: labels, and where a task asks for it. */
  readonly flat: boolean;
  /** A tuned model's answer ends by what no answer of the data has; another's by what few of them have. */
  readonly ends: { readonly tuned: AnswerEnds; readonly untuned: AnswerEnds };
  /** The answers there are; absent: any text is one. */
  readonly labels?: readonly string[];
}

/** What a configuration's settings are where it has none, as far as that is another for each kind of task. */
export interface TaskDefaults {
  readonly r: number;
  readonly num_train_epochs: number;
  readonly max_new_tokens: number;
  /** Absent: as max_new_tokens. */
  readonly baseline_max_new_tokens?: number;
  /** Of each class where there are labels, else in all. Absent: no examples are shown. */
  readonly few_shot_examples?: number;
}

/** What a configuration's section has beside the settings that are a task's own, as far as these may not fit it. */
interface TaskSection {
  readonly train?: unknown;
  readonly scoring?: 'generate' | 'likelihood' | 'both' | undefined;
}

/** Settings that do not fit together; `path` is that of the setting, [] of the task. */
export interface TaskProblem {
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
  /** How a model that was not tuned may be asked. Absent: in every way. */
  readonly baselines?: readonly Baseline[];
  /** The task's section of the configuration that `westwind init` writes. */
  readonly starter: string;
  metric(settings: S): Metric;
  /**
   * The settings with the texts of files that they name in the places of the names, since what stands in a file decides a result. `read`
   * gives the text of a file that the setting of this key names.
   */
  withFiles?(settings: S, read: (path: string, key: string) => string): S;
  problems?(settings: S, section: TaskSection): TaskProblem[];
  columns(settings: S): TaskColumns;
  /** How its rows are taken from a table. Absent: its columns, as texts. */
  rows?(settings: S): TaskRows;
  /**
   * Rows of the whole training data, before any sampling, so that the labels do not depend on the sample; `testRows` say only how answers
   * look.
   */
  create(settings: S, trainRows: Iterable<DataRow>, testRows: Iterable<DataRow>): Task;
}
