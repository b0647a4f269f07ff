/** The tasks: one file each, one table of all. A task that is missing from the table does not compile. */

import { checkOneOf } from '../util/checks.js';
import { classification } from './classification.js';
import { custom } from './custom.js';
import { summarization } from './summarization.js';
import type {
  DataRow,
  SettingsOf,
  Task,
  TaskColumns,
  TaskDefinition,
  TaskName,
  TaskSettings,
} from './types.js';

/** The definition of each task, by its name. */
export const tasks: { readonly [Name in TaskName]: TaskDefinition<SettingsOf[Name]> } = {
  classification,
  summarization,
  custom,
};

/** The columns of a task, and which of them a row may leave empty. Throws UserError for malformed templates. */
export function taskColumns(settings: TaskSettings): TaskColumns {
  return definitionOf(settings).columns(settings);
}

/**
 * The task for given data: `trainRows` are all training rows, before any sampling, named by the task's columns, and `testRows` those that
 * are answered, whose answers say what ends one. Throws UserError for malformed templates and for labels that cannot tell answers apart.
 */
export function createTask(
  settings: TaskSettings,
  trainRows: readonly DataRow[] = [],
  testRows: readonly DataRow[] = [],
): Task {
  return definitionOf(settings).create(settings, trainRows, testRows);
}

// Method parameters are bivariant: the table's pairing of names and settings is what makes this safe.
function definitionOf(settings: TaskSettings): TaskDefinition<TaskSettings> {
  checkOneOf('task', settings.task, Object.keys(tasks));
  return tasks[settings.task];
}

export {
  labelContinuations,
  labelContinuationsLater,
  parseAnswer,
  type AskedFor,
  type ParsedAnswer,
} from './answer.js';
export {
  encodePair,
  encodePrompt,
  encodePrompts,
  trainingExample,
  trainingExamples,
  trainingParts,
  type Pair,
  type Part,
  type TrainingExample,
  type TrainingTextOptions,
} from './encode.js';
export { matchLabel } from './labels.js';
export {
  chooseExamples,
  promptsFor,
  promptsLater,
  type PromptKind,
  type PromptOptions,
  type PromptSet,
} from './prompts.js';
export { cellText, toSample } from './sample.js';
export { parseTemplate, render, type Template } from './template.js';
export type {
  AnswerEnds,
  ClassificationSettings,
  CustomSettings,
  DataRow,
  Metric,
  RougeTokenizer,
  Sample,
  SettingsOf,
  SummarizationSettings,
  Task,
  TaskColumns,
  TaskDefinition,
  TaskName,
  TaskSettings,
  TokenizerLike,
} from './types.js';
