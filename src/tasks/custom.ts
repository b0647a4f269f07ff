/** A task of the user's own: a prompt and a completion with columns in braces. */

import { checkOneOf } from '../util/checks.js';
import { UserError } from '../util/errors.js';
import { checkLabels, distinctLabels } from './labels.js';
import { endsLike, ONE_LINE } from './ends.js';
import { cellText, onOneLine } from './sample.js';
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
    const [inputs, answers] = [prompt, completion].map(({ columns }) => [...new Set(columns)]) as [
      string[],
      string[],
    ];
    // A column that is needed in one place is no optional one.
    const needed = [prompt, completion].flatMap(({ columns, optional }) =>
      columns.filter((column) => !optional.includes(column)),
    );
    const optional = [...inputs, ...answers].filter((column) => !needed.includes(column));
    const filled = answers.filter((column) => !optional.includes(column)).map((column) => [column]);
    return { inputs, answers, filled: filled.length > 0 ? filled : [answers], optional };
  },

  create(settings, trainRows, testRows): Task {
    checkOneOf('metric', settings.metric, Object.keys(METRICS));
    const { prompt, completion } = templates(settings);
    const instruction = settings.instruction ?? '';
    const task: Task = {
      task: 'custom',
      metric: METRICS[settings.metric],
      prompt,
      completion,
      flat: settings.metric === 'accuracy' || settings.multiline === false,
      ends: endsOf(
        settings,
        [...trainRows, ...testRows].map((row) => answerOf(completion, row)),
      ),
      body: longestColumn(prompt, trainRows),
      baseline: { zeroShotInstruction: instruction, fewShotInstruction: instruction, query: prompt },
    };
    if (settings.metric !== 'accuracy') return task;
    const labels =
      settings.labels ?? distinctLabels(trainRows.map((row) => onOneLine(answerOf(completion, row))));
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

function endsOf({ metric, multiline }: CustomSettings, answers: readonly string[]): Task['ends'] {
  if (metric === 'accuracy' || multiline === false) return ONE_LINE;
  const { tuned, untuned } = endsLike(answers);
  if (!multiline) return { tuned, untuned };
  return { tuned: { ...tuned, line: false }, untuned: { ...untuned, line: false } };
}

/** A row that lacks a part of its answer is left out elsewhere, with a report; here it has none. */
function answerOf(completion: Template, row: DataRow): string {
  const values = Object.fromEntries(completion.columns.map((column) => [column, cellText(row, column)]));
  const lacking = completion.columns.some(
    (column) => values[column] === '' && !completion.optional.includes(column),
  );
  return lacking ? '' : render(completion, values);
}
