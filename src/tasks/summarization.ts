/** Summarizing a dialogue: the origin's SAMSum task. */

import { endsLike } from './ends.js';
import { cellText } from './sample.js';
import { parseTemplate } from './template.js';
import type { SummarizationSettings, Task, TaskDefinition } from './types.js';

const COMPLETION = parseTemplate('{summary}', 'completion');

const TASK: Omit<Task, 'ends'> = {
  task: 'summarization',
  metric: 'rouge',
  prompt: parseTemplate('### Dialogue:{dialogue} ### Summary:', 'prompt'),
  completion: COMPLETION,
  body: 'dialogue',
  flat: false,
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
};

export const summarization: TaskDefinition<SummarizationSettings> = {
  columns: () => ({
    inputs: ['dialogue'],
    answers: ['summary'],
    filled: [['dialogue'], ['summary']],
    optional: [],
  }),
  create: (_, trainRows, testRows) => ({
    ...TASK,
    ends: endsLike([...trainRows, ...testRows].map((row) => cellText(row, 'summary'))),
  }),
};
