/** `westwind run` of a search: trials that stop for the sake of others, killed and gone on with, and what is said of them. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeJob, makeModel, sentences, start, temporaryFolder, westwind, type JobFiles } from './support.js';
import type { LoggedEvaluation, LoggedRung } from '../../src/experiments/store/steps.js';
import type { Manifest } from '../../src/experiments/store/manifest.js';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { standingOf } from '../../src/train/halving.js';

let model: string;
/** Of a search that nothing disturbed. */
let expected: Record<string, unknown>;

const TRIALS = 6;
const SEARCHED = {
  'max_steps: 40': 'max_steps: 8',
  '5e-3': '{low: 1.e-5, high: 1.e-1, log: true}',
  '  save_steps: 3\n': '  save_steps: 3\n  eval_strategy: steps\n  eval_steps: 2\n',
  '    test: {path: test.csv}\n': '    test: {path: test.csv}\n    validation: {path: validation.csv}\n',
  '    scoring: both\n': '',
  'generation:': `search: {method: asha, trials: ${TRIALS}, reduction_factor: 2}\ngeneration:`,
};

function searchJob(changes: Readonly<Record<string, string>> = {}): JobFiles {
  const job = makeJob(model, { ...SEARCHED, ...changes });
  writeFileSync(join(job.folder, 'validation.csv'), sentences(9, 200));
  return job;
}

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

interface Trial {
  readonly id: string;
  readonly folder: string;
  readonly trial: number;
  readonly result: TaskResult;
}

/** In their order; the baseline is none. */
function trialsOf({ runs }: JobFiles): Trial[] {
  const found = readdirSync(runs).flatMap((id) => {
    const folder = join(runs, id, 'subjects');
    const manifest = JSON.parse(readFileSync(join(runs, id, 'run.json'), 'utf8')) as Manifest;
    if (!manifest.config.tasks[0]!.tune || !existsSync(join(folder, 'result.json'))) return [];
    const result = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8')) as TaskResult;
    return [{ id, folder, trial: manifest.config.search!.trial, result }];
  });
  return found.sort((a, b) => a.trial - b.trial);
}

function linesOf<T>(folder: string, name: string): T[] {
  const path = join(folder, name);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

/** What a search leaves that may not depend on how often it was interrupted. */
function left(job: JobFiles): Record<string, unknown> {
  return Object.fromEntries(
    trialsOf(job).map(({ id, folder, result }) => {
      const { seconds, ...training } = result.training!;
      assert.ok(seconds > 0);
      const adapter = readFileSync(join(folder, 'adapter/adapter_model.safetensors')).toString('base64');
      const evaluations = linesOf<LoggedEvaluation>(folder, 'eval.jsonl').map(({ step, loss }) => [
        step,
        loss,
      ]);
      const metrics = result.methods.map((method) => method.metrics);
      return [id, { training, adapter, evaluations, rungs: linesOf(folder, 'rungs.jsonl'), metrics }];
    }),
  );
}

test('trials that are not among the best so far stop at their rungs, and are not tested', async () => {
  const job = searchJob();
  const { code, stdout, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
  console.log(stdout);
  expected = left(job);
  const trials = trialsOf(job);
  assert.deepEqual(
    trials.map(({ trial }) => trial),
    [1, 2, 3, 4, 5, 6],
  );
  const losses = trials.map(({ folder }) =>
    linesOf<LoggedEvaluation>(folder, 'eval.jsonl').map(({ loss }) => loss),
  );
  for (const [i, { folder, result }] of trials.entries()) {
    const rungs = linesOf<LoggedRung>(folder, 'rungs.jsonl');
    const { training, methods } = result;
    for (const { evaluation, ...rung } of rungs) {
      assert.ok(evaluation === 1 || evaluation === 2);
      const before = losses.slice(0, i).flatMap((row) => row[evaluation - 1] ?? []);
      const figure = losses[i]![evaluation - 1]!;
      const standing = standingOf(figure, before, { reduction_factor: 2, greater_is_better: false });
      assert.deepEqual(rung, { step: 2 * evaluation, metric: 'loss', figure, ...standing });
    }
    const stopped = rungs.at(-1)!.stop;
    assert.equal(training!.stopped_by, stopped ? 'search' : undefined);
    assert.equal(training!.steps, stopped ? rungs.at(-1)!.step : 8);
    assert.equal(methods.length, stopped ? 0 : 1);
    assert.equal(existsSync(join(folder, 'predictions-tuned.jsonl')), !stopped);
  }
  const stopped = trials.filter(({ result }) => result.training!.stopped_by);
  assert.ok(stopped.length > 0 && stopped.length < TRIALS - 1);
});
