/** Conversations: learning what the assistant says in them, and answering where it spoke last. */

import { z } from 'zod';
import { METRIC_NAMES, METRIC_SETTINGS, METRICS, type Metric } from '../eval/index.js';
import { CHAT_COLUMNS, CHAT_FORMS, chatColumns, chatFormsInWords } from '../data/chat/index.js';
import { CHATML, ChatTemplate } from '../tokenizer/index.js';
import { section, setting, text, type Values } from '../util/settings.js';
import { chatRows } from './chat-rows.js';
import { byChatTemplate } from './chat-wording.js';
import { foreignSettings } from './metric-settings.js';
import type { AnswerEnds, TaskDefaults, TaskDefinition } from './types.js';

/** Metrics of free text, by the names that tasks have for them. */
const FREE = METRIC_NAMES.filter((name) => !METRICS[name].labelled);

/** Answers are as long as the model makes them. */
const OPEN: AnswerEnds = { line: false, marker: false };

const CHATML_NAME = 'chatml';

const SETTINGS = {
  form: setting(
    z.enum(CHAT_FORMS),
    `How the data holds its chats: ${chatFormsInWords}. Default: recognised by the columns.`,
  ),
  chat_template: setting(
    text,
    `A chat template in Jinja: a file, the text itself, or ${CHATML_NAME}. Default: the model’s own, or ChatML where it has none.`,
  ),
  train_on: setting(
    z.enum(['assistant', 'last']),
    'What is learnt: all that the assistant says, but for messages with weight: 0, or its last message alone. With ' +
      'completion_only_loss: false everything is.',
    { default: 'assistant' as const },
  ),
  metric: setting(
    z.enum(FREE),
    `How the last message of the assistant is scored: ${FREE.map((name) => `${name} (${METRICS[name].about})`).join(', ')}.`,
    { default: 'chrf' as const },
  ),
  ...METRIC_SETTINGS,
};

/** Chats. */
export type ChatSettings = { readonly task: 'chat' } & Values<typeof SETTINGS>;

const DEFAULTS: TaskDefaults = { r: 16, num_train_epochs: 3, max_new_tokens: 100 };

export const chat: TaskDefinition<ChatSettings> = {
  description: 'Answer in a conversation.',
  noun: 'A chat',
  settings: SETTINGS,
  columnNames: {
    type: section(
      Object.fromEntries(
        Object.entries(CHAT_COLUMNS).map(([name, about]) => [name, setting(text, about, { default: name })]),
      ),
    ),
    description: 'The data’s names for the columns of its form.',
  },
  defaults: DEFAULTS,
  baselines: ['zero_shot'],
  starter: `  assistant:                        # a name of your choice
    task: chat
    # form: openai                  # or sharegpt, prompt_completion, alpaca; by default recognised by the columns
    train:
      path: examples/data/chats/train.jsonl   # yours: JSON, JSONL, Parquet or CSV; or hub: a data set's name
      # fraction: 0.1               # a share of the rows, or count: a number of them
    test:
      path: examples/data/chats/test.jsonl    # or, of one file, in place of test: split: {test: 0.2}
    chat_template: examples/chat.jinja        # leave it out for the model's own, or ChatML where it has none
    # train_on: last                # the assistant's last message alone; by default all that it says
    metric: chrf                    # or rouge, exact_match: of the assistant's last message
    baselines: [zero_shot]
    max_new_tokens: ${DEFAULTS.max_new_tokens}
`,

  metric: ({ metric = SETTINGS.metric.default }): Metric => metric,

  withFiles({ chat_template: given, ...settings }, read) {
    if (given === undefined) return settings;
    const isText = given === CHATML_NAME || /[{\n]/.test(given);
    return { ...settings, chat_template: isText ? given : read(given, 'chat_template') };
  },

  problems: ({ metric = SETTINGS.metric.default, ...settings }) => foreignSettings(metric, settings),

  columns({ form }) {
    const columns = chatColumns(form);
    return { inputs: columns, answers: [], filled: [], optional: columns };
  },
  rows: ({ form }) => chatRows(form),

  create({ metric = SETTINGS.metric.default, chat_template: given, train_on = SETTINGS.train_on.default }) {
    const template = given === CHATML_NAME ? CHATML : given;
    // One that cannot be parsed is told before a model is loaded.
    if (template !== undefined) new ChatTemplate(template, 'chat_template');
    return {
      task: 'chat',
      metric,
      flat: false,
      ends: { tuned: OPEN, untuned: OPEN },
      wording: byChatTemplate({ template, train_on }),
    };
  },
};
