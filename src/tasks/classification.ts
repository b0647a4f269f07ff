/** Naming the one class, out of a fixed set, that a text belongs to: the origin's 20 Newsgroups task. */

import { mappedEach } from '../util/list.js';
import { section, setting, text, type Values } from '../util/settings.js';
import { checkLabels, distinctLabels, LABELS } from './labels.js';
import { ONE_LINE } from './ends.js';
import { parseTemplate } from './template.js';
import { cellText, onOneLine } from './sample.js';
import { byTemplates } from './templates.js';
import type { Task, TaskDefaults, TaskDefinition } from './types.js';

const PROMPT = parseTemplate('### Sentence:{text} ### Class:', 'prompt');
const COMPLETION = parseTemplate('{label}', 'completion');
const QUERY = parseTemplate('### Sentence: ```{text}```\n### Class:', 'query');

const SETTINGS = { labels: LABELS };

/** One label of several for each text. */
export type ClassificationSettings = { readonly task: 'classification' } & Values<typeof SETTINGS>;

const DEFAULTS: TaskDefaults = { r: 8, num_train_epochs: 5, max_new_tokens: 20, few_shot_examples: 1 };

export const classification: TaskDefinition<ClassificationSettings> = {
  description: 'Name the class of a text.',
  noun: 'A classification',
  settings: SETTINGS,
  columnNames: {
    type: section({
      text: setting(text, 'The column of the text.', { default: 'text' }),
      label: setting(text, 'The column of the class.', { default: 'label' }),
    }),
    description: 'The data’s names for text and label.',
  },
  defaults: DEFAULTS,
  starter: `  topics:                           # a name of your choice
    task: classification
    columns: {text: text, label: label}   # your data's names for the text and its class
    train:
      path: data/train.csv          # CSV, JSON, JSONL or Parquet; or hub: a data set's name
      # fraction: 0.1               # a share of the rows, or count: a number of them
    test:
      path: data/test.csv           # or, of one file, in place of test: split: {test: 0.2}
    scoring: both                   # generated answers, and the likeliest class
    baselines: [zero_shot, few_shot]
    max_new_tokens: ${DEFAULTS.max_new_tokens}
`,

  metric: () => 'classification',
  problems: ({ labels }, { train }) =>
    labels === undefined && train === undefined
      ? [{ path: [], message: `needs 'labels' or 'train' to know its classes` }]
      : [],
  columns: () => ({ inputs: ['text'], answers: ['label'], filled: [['text'], ['label']], optional: [] }),

  create(settings, trainRows): Task {
    const labels =
      settings.labels ?? distinctLabels(mappedEach([trainRows], (row) => onOneLine(cellText(row, 'label'))));
    checkLabels(labels);
    const list = labels.join(', ');
    return {
      task: 'classification',
      metric: 'classification',
      ...{ flat: true, ends: ONE_LINE },
      labels,
      wording: byTemplates({
        prompt: PROMPT,
        completion: COMPLETION,
        body: 'text',
        baseline: {
          zeroShotInstruction:
            `Sort the text between the triple backticks into exactly one of these classes: ${list}. ` +
            'Reply with the name of the class and nothing else.',
          fewShotInstruction:
            `Sort each text between triple backticks into exactly one of these classes: ${list}. ` +
            'The texts that come first show how; reply for the last one with the name of its class and nothing else.',
          query: QUERY,
        },
      }),
    };
  },
};
