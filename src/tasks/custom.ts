/** A task of the user's own: a prompt and a completion with columns in braces. */

import { UserError } from '../util/errors.js';
import { checkLabels, distinctLabels } from './labels.js';
import { asAnswer, cellText } from './sample.js';
import { parseTemplate, render, type Template } from './template.js';
import type { CustomSettings, DataRow, Metric, Task, TaskDefinition } from './types.js';

const METRICS: Readonly<Record<CustomSettings['metric'], Metric>> = {
  accuracy: 'classification',
  rouge: 'rouge',
  exact_match: 'exact_match',
};

export const custom: TaskDefinition<CustomSettings> = {
  columns(settings) {
    const { prompt, completion } = templates(settings);
    return { inputs: [...new Set(prompt.columns)], answers: [...new Set(completion.columns)] };
  },

  create(settings, trainRows): Task {
    const { prompt, completion } = templates(settings);
    const instruction = settings.instruction ?? '';
    const task: Task = {
      task: 'custom',
      metric: METRICS[settings.metric],
      prompt,
      completion,
      multiline: settings.multiline ?? false,
      body: longestColumn(prompt, trainRows),
      baseline: { zeroShotInstruction: instruction, fewShotInstruction: instruction, query: prompt },
    };
    if (settings.metric !== 'accuracy') return task;
    const labels =
      settings.labels ?? distinctLabels(trainRows.map((row) => answerOf(completion, row, task.multiline)));
    checkLabels(labels);
    return { ...task, labels };
  },
};

/** Throws UserError where a template is malformed or names no column. */
function templates(settings: CustomSettings): { prompt: Template; completion: Template } {
  const prompt = parseTemplate(settings.prompt, 'prompt');
  const completion = parseTemplate(settings.completion, 'completion');
  for (const [name, { columns }] of Object.entries({ prompt, completion })) {
    if (columns.length === 0) {
      throw new UserError(
        `${name}: it names no column, so it would be the same for every row; write {column}`,
      );
    }
  }
  return { prompt, completion };
}

/** The prompt's column with the most text: shortening it costs least. */
function longestColumn(prompt: Template, rows: readonly DataRow[]): string {
  const size = (column: string): number => rows.reduce((n, row) => n + cellText(row, column).length, 0);
  return prompt.columns.reduce((best, column) => (size(column) > size(best) ? column : best));
}

/** A row that lacks a part of its answer is left out elsewhere, with a report; here it has none. */
function answerOf(completion: Template, row: DataRow, multiline: boolean): string {
  const values = Object.fromEntries(completion.columns.map((column) => [column, cellText(row, column)]));
  return Object.values(values).includes('') ? '' : asAnswer(render(completion, values), multiline);
}
