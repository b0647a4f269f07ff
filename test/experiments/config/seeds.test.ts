/** Which runs of a study differ by their seed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStudy } from '../../../src/experiments/config/index.js';

function runs(method: string, more = ''): number {
  const text = `{model_name_or_path: m, seed: [1, 2, 42], lora: {}, ${more} tasks: {a: {task: classification, train: {path: x.csv}, test: {path: y.csv, count: 5}, baselines: [${method}]}}}`;
  return parseStudy(text).filter(({ config }) => !config.tasks[0]!.tune).length;
}

test('zero-shot answers are asked once for all seeds, drawn ones and few-shot ones for each', () => {
  assert.equal(runs('zero_shot'), 1);
  assert.equal(runs('zero_shot', 'generation: {do_sample: true},'), 3);
  assert.equal(runs('few_shot'), 3);
});
