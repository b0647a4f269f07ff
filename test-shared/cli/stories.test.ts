/** A trained model and real data through the whole program: a few rows of each task, with 4-bit weights. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { runFolder, temporaryFolder, westwind } from '../../test/cli/support.js';

const shared = resolve(process.env['WESTWIND_SHARED'] ?? '../shared');

test('stories260K on samples of 20 Newsgroups and SAMSum: the loss falls, every row is answered for', async () => {
  const folder = temporaryFolder();
  const job = { folder, runs: join(folder, 'runs'), config: join(folder, 'job.yaml') };
  writeFileSync(
    job.config,
    `model_name_or_path: ${shared}/models/stories260K
output_dir: ${job.runs}
quantization: {load_in_4bit: true}
lora: {r: 8, target_modules: all-linear}
training: {max_steps: 12, learning_rate: 5e-3, max_length: 256, packing: isolated}
tasks:
  news:
    task: classification
    train: {path: ${shared}/data/20newsgroups/train.csv, count: 100}
    test: {path: ${shared}/data/20newsgroups/test.csv, count: 20}
    scoring: likelihood
    baselines: [zero_shot]
  dialogues:
    task: summarization
    train: {path: ${shared}/data/samsum/train.json, count: 60}
    test: {path: ${shared}/data/samsum/test.json, count: 8}
    max_new_tokens: 20
`,
  );
  const { code, stdout, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /rows left out because (text|label)[^\n]* is empty/);
  const results = JSON.parse(readFileSync(join(runFolder(job), 'results.json'), 'utf8')) as TaskResult[];
  assert.deepEqual(
    results.map((r) => [r.task, r.test_rows, r.methods.map((m) => m.method)]),
    [
      ['news', 20, ['zero_shot', 'tuned']],
      ['dialogues', 8, ['zero_shot', 'few_shot', 'tuned']],
    ],
  );
  for (const { training } of results) assert.ok(training!.last_loss < training!.first_loss);
});
