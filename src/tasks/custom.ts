/** A task of the user's own: a prompt and a completion with columns in braces. */

import { z } from 'zod';
import { METRIC_NAMES, METRIC_SETTINGS, METRICS, type Metric } from '../eval/index.js';
import { checkOneOf } from '../util/checks.js';
import { mappedEach } from '../util/list.js';
import { messageOf, UserError } from '../util/errors.js';
import { flag, setting, text, type Values } from '../util/settings.js';
import { foreignSettings } from './metric-settings.js';
import { checkLabels, distinctLabels, LABELS } from './labels.js';
import { endsLike, ONE_LINE } from './ends.js';
import { cellText, onOneLine } from './sample.js';
import { parseTemplate, render, type Template } from './template.js';
import { byTemplates } from './templates.js';
import type { Task, TaskDefaults, TaskDefinition } from './types.js';
import type { DataRow } from './wording.js';

const METRIC_CALLED: Readonly<Record<string, Metric>> = Object.fromEntries(
  METRIC_NAMES.map((name) => [METRICS[name].customName, name]),
);
const CALLED = METRIC_NAMES.map((name) => METRICS[name].customName);
const WITH_LABELS = METRIC_NAMES.filter((name) => METRICS[name].labelled)
  .map((name) => METRICS[name].customName)
  .join(' or ');

/** A template whose braces match and which names a column at least. */
const template = (description: string) =>
  text.describe(description).superRefine((value, context) => {
    try {
      if (parseTemplate(value, 'it').columns.length === 0)
        context.addIssue({ code: 'custom', message: 'names no column; write {column} where one belongs' });
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error).replace(/^it: /, 'has ') });
    }
  });

const SETTINGS = {
  prompt: template(
    'What the model is given, with columns in braces: "Question: {question} Answer:"; {input?} may be missing.',
  ),
  completion: template('What it should answer: "{answer}".'),
  metric: z
    .enum(CALLED)
    .describe(
      `${METRIC_NAMES.map((name) => `${METRICS[name].customName}: ${METRICS[name].about}`).join('; ')}.`,
    ),
  instruction: setting(text, 'Stands before the prompts of the baselines.'),
  multiline: setting(
    flag,
    'true: answers have several lines. false: an answer ends with its first line, and line breaks in the data’s become spaces. ' +
      'Default: as the data has them.',
  ),
  ...METRIC_SETTINGS,
  labels: LABELS,
};

/** A task by templates of the user’s own. */
export type CustomSettings = { readonly task: 'custom' } & Values<typeof SETTINGS>;

const DEFAULTS: TaskDefaults = { r: 8, num_train_epochs: 5, max_new_tokens: 100, few_shot_examples: 2 };

export const custom: TaskDefinition<CustomSettings> = {
  description: 'A task made of templates over columns.',
  noun: 'A task of its own prompts',
  settings: SETTINGS,
  columnNames: {
    type: z.record(text, text.describe('The column’s name in the data.')),
    description: 'The data’s names for the templates’ columns. Default: the same.',
  },
  defaults: DEFAULTS,
  starter: `  mine:                             # a name of your choice
    task: custom
    prompt: "### Question:{question} ### Answer:"   # columns of your data in braces
    completion: "{answer}"
    metric: exact_match             # or accuracy (the answers are classes), rouge (free text)
    instruction: Answer the question in as few words as possible.   # for the baselines
    train:
      path: data/train.jsonl        # CSV, JSON, JSONL or Parquet; or hub: a data set's name
    test:
      path: data/test.jsonl
    baselines: [zero_shot, few_shot]
    few_shot_examples: ${DEFAULTS.few_shot_examples}
    max_new_tokens: 50
`,

  metric: metricOfCustom,

  problems(settings, { scoring = 'generate' }) {
    const own = METRICS[metricOfCustom(settings)];
    return [
      ...foreignSettings(metricOfCustom(settings), settings),
      ...(!own.labelled && settings.labels !== undefined
        ? [{ path: ['labels'], message: `go with the metric ${WITH_LABELS}` }]
        : []),
      ...(!own.labelled && scoring !== 'generate'
        ? [
            {
              path: ['scoring'],
              message: `must be generate: only the metric ${WITH_LABELS} has labels to compare`,
            },
          ]
        : []),
    ];
  },

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
    checkOneOf('metric', settings.metric, CALLED);
    const metric = metricOfCustom(settings);
    const { labelled } = METRICS[metric];
    const { prompt, completion } = templates(settings);
    const instruction = settings.instruction ?? '';
    const task: Task = {
      task: 'custom',
      metric,
      flat: labelled || settings.multiline === false,
      ends: endsOf(
        settings,
        labelled,
        mappedEach([trainRows, testRows], (row) => answerOf(completion, row)),
      ),
      wording: byTemplates({
        ...{ prompt, completion },
        body: longestColumn(prompt, trainRows),
        baseline: { zeroShotInstruction: instruction, fewShotInstruction: instruction, query: prompt },
      }),
    };
    if (!labelled) return task;
    const labels =
      settings.labels ??
      distinctLabels(mappedEach([trainRows], (row) => onOneLine(answerOf(completion, row))));
    checkLabels(labels);
    return { ...task, labels };
  },
};

function metricOfCustom({ metric }: CustomSettings): Metric {
  return METRIC_CALLED[metric]!;
}

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
function longestColumn({ columns }: Template, rows: Iterable<DataRow>): string {
  const sizes = new Map(columns.map((column) => [column, 0]));
  if (sizes.size > 1)
    for (const row of rows)
      for (const [column, size] of sizes) sizes.set(column, size + cellText(row, column).length);
  return columns.reduce((best, column) => (sizes.get(column)! > sizes.get(best)! ? column : best));
}

function endsOf({ multiline }: CustomSettings, labelled: boolean, answers: Iterable<string>): Task['ends'] {
  if (labelled || multiline === false) return ONE_LINE;
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
