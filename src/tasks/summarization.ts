/** Summarizing a dialogue: the origin's SAMSum task. */

import { METRICS } from '../eval/index.js';
import { mappedEach } from '../util/list.js';
import { section, setting, text, type Values } from '../util/settings.js';
import { endsLike } from './ends.js';
import { cellText } from './sample.js';
import { parseTemplate } from './template.js';
import { byTemplates } from './templates.js';
import type { Task, TaskDefaults, TaskDefinition } from './types.js';

const COMPLETION = parseTemplate('{summary}', 'completion');

const TASK: Omit<Task, 'ends'> = {
  task: 'summarization',
  metric: 'rouge',
  flat: false,
  wording: byTemplates({
    prompt: parseTemplate('### Dialogue:{dialogue} ### Summary:', 'prompt'),
    completion: COMPLETION,
    body: 'dialogue',
    baseline: {
      zeroShotInstruction:
        'Tell in one to three short sentences what happens in the dialogue between the triple backticks. ' +
        'Name the people who speak, and write the summary on one line and nothing else.',
      fewShotInstruction:
        'Tell in one to three short sentences what happens in each dialogue between triple backticks. ' +
        'Name the people who speak. The dialogues that come first show how; write the summary of the last one on one line ' +
        'and nothing else.',
      query: parseTemplate('### Dialogue: ```{dialogue}```\n### Summary:', 'query'),
    },
  }),
};

const SETTINGS = METRICS.rouge.settings;

/** A short text for a long one. */
export type SummarizationSettings = { readonly task: 'summarization' } & Values<typeof SETTINGS>;

const DEFAULTS = {
  r: 64,
  num_train_epochs: 1,
  max_new_tokens: 100,
  baseline_max_new_tokens: 50,
  few_shot_examples: 2,
} satisfies TaskDefaults;

export const summarization: TaskDefinition<SummarizationSettings> = {
  description: 'Summarize a dialogue.',
  noun: 'A summarization',
  settings: SETTINGS,
  columnNames: {
    type: section({
      dialogue: setting(text, 'The column of the dialogue.', { default: 'dialogue' }),
      summary: setting(text, 'The column of the summary.', { default: 'summary' }),
    }),
    description: 'The data’s names for dialogue and summary.',
  },
  defaults: DEFAULTS,
  starter: `  dialogues:                        # a name of your choice
    task: summarization
    columns: {dialogue: dialogue, summary: summary}   # your data's names for the two
    train:
      path: data/train.json         # CSV, JSON, JSONL or Parquet; or hub: a data set's name
      # count: 500                  # a number of the rows, or fraction: a share of them
    test:
      path: data/test.json
    baselines: [zero_shot, few_shot]
    few_shot_examples: ${DEFAULTS.few_shot_examples}
    max_new_tokens: ${DEFAULTS.max_new_tokens}
    baseline_max_new_tokens: ${DEFAULTS.baseline_max_new_tokens}
`,

  metric: () => 'rouge',
  columns: () => ({
    inputs: ['dialogue'],
    answers: ['summary'],
    filled: [['dialogue'], ['summary']],
    optional: [],
  }),
  create: (_, trainRows, testRows) => ({
    ...TASK,
    ends: endsLike(mappedEach([trainRows, testRows], (row) => cellText(row, 'summary'))),
  }),
};
