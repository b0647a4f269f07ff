/** The tasks: one file each, one table of all. */

import { metricOf, type Metric, type MetricOptions } from '../eval/index.js';
import { checkOneOf } from '../util/checks.js';
import { chat } from './chat.js';
import { classification } from './classification.js';
import { custom } from './custom.js';
import { summarization } from './summarization.js';
import { textRows, type TaskColumns, type TaskRows } from './rows.js';
import type { Task, TaskDefinition } from './types.js';
import type { DataRow } from './wording.js';

/** The one list of the tasks: a configuration's kinds, the names that a run's files may have and `westwind init` are made of it. */
export const tasks = { classification, summarization, custom, chat };

/** The tasks’ names. */
export type TaskName = keyof typeof tasks;
/** In the table's order. */
export const TASK_NAMES = Object.keys(tasks) as [TaskName, ...TaskName[]];

/** A task's settings, told apart by `task`. */
export type TaskSettings = {
  [Name in TaskName]: (typeof tasks)[Name] extends TaskDefinition<infer S> ? S : never;
}[TaskName];

/** Which figures score the answers of a task with these settings. */
export function metricOfTask(settings: TaskSettings): Metric {
  return definitionOf(settings).metric(settings);
}

/** Whether its answers are labels. */
export function isLabelled(settings: TaskSettings): boolean {
  return metricOf(metricOfTask(settings)).labelled;
}

/** What the settings tell the metric. */
export function metricOptions(settings: TaskSettings): MetricOptions {
  const own = metricOf(metricOfTask(settings)).settings;
  const given = settings as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.keys(own).map((key) => [key, given[key]]));
}

/** The columns of a task, and which of them a row may leave empty. Throws UserError for malformed templates. */
export function taskColumns(settings: TaskSettings): TaskColumns {
  return definitionOf(settings).columns(settings);
}

/** How its rows are taken from a table. Throws UserError for malformed templates. */
export function taskRows(settings: TaskSettings): TaskRows {
  return definitionOf(settings).rows?.(settings) ?? textRows(taskColumns(settings));
}

/**
 * The task for given data: `trainRows` are all training rows, before any sampling, named by the task's columns, and `testRows` those that
 * are answered, whose answers say what ends one. Throws UserError for malformed templates and for labels that cannot tell answers apart.
 */
export function createTask(
  settings: TaskSettings,
  trainRows: Iterable<DataRow> = [],
  testRows: Iterable<DataRow> = [],
): Task {
  return definitionOf(settings).create(settings, trainRows, testRows);
}

// Method parameters are bivariant: the table's pairing of names and settings is what makes this safe.
/** All that the task's file says of it. Throws RangeError for a kind that there is not. */
export function definitionOf(settings: Pick<TaskSettings, 'task'>): TaskDefinition<TaskSettings> {
  checkOneOf('task', settings.task, TASK_NAMES);
  return tasks[settings.task];
}

export {
  answerEnd,
  labelContinuations,
  labelContinuationsLater,
  parseAnswer,
  type AskedFor,
  type ParsedAnswer,
} from './answer.js';
export {
  encodedExamples,
  encodePair,
  encodePrompt,
  encodePrompts,
  endOfSequence,
  trainingExample,
  trainingExamples,
  trainingParts,
  type Pair,
  type Part,
} from './encode.js';
export { ChatPrompts } from './chat-prompts.js';
export { METHOD_NAMES, METHODS, methodName, BASELINES, type Baseline, type Method } from './methods.js';
export { matchLabel } from './labels.js';
export { chooseExamples, promptsFor, promptsLater } from './prompts.js';
export type { ColumnNames, SelectedRows, TaskColumns, TaskRows } from './rows.js';
export type { ChatSettings } from './chat.js';
export type { ClassificationSettings } from './classification.js';
export type { CustomSettings } from './custom.js';
export type { SummarizationSettings } from './summarization.js';
export { cellText, rowNumber, textOf, toSample } from './sample.js';
export { parseTemplate, render, type Template } from './template.js';
export type { TokenizerLike, Tokens } from './tokenizer.js';
export type { AnswerEnds, Task, TaskDefaults, TaskDefinition } from './types.js';
export type {
  DataRow,
  PromptOptions,
  PromptSet,
  Sample,
  TrainingExample,
  TrainingTextOptions,
  Wording,
} from './wording.js';
