import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createTask,
  labelContinuations,
  parseAnswer,
  promptsFor,
  toSample,
  trainingExample,
} from '../../src/tasks/index.js';
import { Tokenizer } from '../../src/tokenizer/index.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';

interface Dialogue {
  readonly dialogue: string;
  readonly summary: string;
}

const rows = (JSON.parse(readFileSync(join(shared, 'data/samsum/test.json'), 'utf8')) as Dialogue[]).slice(
  0,
  150,
);
const labels = ['alt.atheism', 'comp.graphics', 'misc.forsale', 'rec.sport.hockey', 'talk.politics.mideast'];

for (const name of ['mistral-7b-v0.1', 'llama2', 'falcon-7b-instruct', 'redpajama-incite-7b']) {
  const tokenizer = Tokenizer.load(join(shared, 'tokenizers', name));

  test(`${name}: training texts begin with the prompt’s ids, and their answers are read back`, () => {
    const task = createTask(
      { task: 'summarization' },
      rows.map((row) => ({ ...row })),
    );
    const samples = rows.map((row, i) => toSample(task, { ...row }, i));
    const { prompts } = promptsFor(task, 'tuned', samples, tokenizer, { limit: 1e6 });
    for (const [i, sample] of samples.entries()) {
      const { ids, labels } = trainingExample(task, sample, tokenizer, { completion_only_loss: true });
      const prompt = prompts[i]!.ids;
      assert.deepEqual(ids.slice(0, prompt.length), prompt);
      assert.equal(
        labels.findIndex((id) => id >= 0),
        prompt.length,
      );
      const { answer } = parseAnswer(task, ids.slice(prompt.length), tokenizer, {
        reference: sample.answer,
        behind: prompt.at(-1),
      });
      assert.equal(answer, sample.answer);
      const cut = trainingExample(task, sample, tokenizer, { max_length: 96, completion_only_loss: true });
      assert.ok(cut.ids.length <= 96 && (!cut.shortened || cut.ids.length >= 90), String(cut.ids.length));
      assert.deepEqual(cut.ids.slice(cut.ids.length - 5), ids.slice(ids.length - 5));
    }
  });

  test(`${name}: label continuations are what training puts behind any text, and are read back`, () => {
    const task = createTask({ task: 'classification', labels });
    const continuations = labelContinuations(task, 'tuned', tokenizer);
    for (const [i, label] of labels.entries()) {
      for (const { dialogue } of rows.slice(0, 20)) {
        const sample = toSample(task, { text: dialogue, label }, 0);
        const example = trainingExample(task, sample, tokenizer, { completion_only_loss: true });
        assert.deepEqual(
          example.ids.filter((_, t) => example.labels[t] !== -100),
          continuations[i],
        );
      }
      assert.equal(parseAnswer(task, continuations[i]!, tokenizer).answer, label);
      const untuned = labelContinuations(task, 'zero_shot', tokenizer)[i]!;
      assert.equal(parseAnswer(task, untuned, tokenizer).answer, label);
    }
  });
}
