/** Naming the one class, out of a fixed set, that a text belongs to: the origin's 20 Newsgroups task. */

import { checkLabels, distinctLabels } from './labels.js';
import { ONE_LINE } from './ends.js';
import { parseTemplate } from './template.js';
import { cellText, onOneLine } from './sample.js';
import type { ClassificationSettings, Task, TaskDefinition } from './types.js';

const PROMPT = parseTemplate('### Sentence:{text} ### Class:', 'prompt');
const COMPLETION = parseTemplate('{label}', 'completion');
const QUERY = parseTemplate('### Sentence: ```{text}```\n### Class:', 'query');

export const classification: TaskDefinition<ClassificationSettings> = {
  columns: () => ({ inputs: ['text'], answers: ['label'], filled: [['text'], ['label']], optional: [] }),

  create(settings, trainRows): Task {
    const labels =
      settings.labels ?? distinctLabels(trainRows.map((row) => onOneLine(cellText(row, 'label'))));
    checkLabels(labels);
    const list = labels.join(', ');
    return {
      task: 'classification',
      metric: 'classification',
      prompt: PROMPT,
      completion: COMPLETION,
      body: 'text',
      ...{ flat: true, ends: ONE_LINE },
      labels,
      baseline: {
        zeroShotInstruction:
          `Sort the text between the triple backticks into exactly one of these classes: ${list}. ` +
          'Reply with the name of the class and nothing else.',
        fewShotInstruction:
          `Sort each text between triple backticks into exactly one of these classes: ${list}. ` +
          'The texts that come first show how; reply for the last one with the name of its class and nothing else.',
        query: QUERY,
      },
    };
  },
};
