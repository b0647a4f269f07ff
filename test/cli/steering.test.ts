/** Runs that are evaluated, stop early and keep their best: to the end, killed, and gone on with; and what of them is refused. */

import assert from 'node:assert/strict';
import { linkSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoggedEvaluation } from '../../src/experiments/store/steps.js';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { philox4x32 } from '../../src/util/philox.js';
import {
  artefacts,
  makeJob,
  makeModel,
  runFolder,
  sentences,
  start,
  temporaryFolder,
  westwind,
  type JobFiles,
} from './support.js';

let model: string;
let seconds: number;
let expected: ReturnType<typeof left>;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

const STEERED = {
  '  save_steps: 3\n':
    '  save_steps: 3\n  save_total_limit: 1\n  eval_strategy: steps\n  eval_steps: 0.1\n  load_best_model_at_end: true\n' +
    '  metric_for_best_model: accuracy\n  early_stopping_patience: 3\n',
  '    test: {path: test.csv}\n': '    test: {path: test.csv}\n    validation: {path: validation.csv}\n',
  '    scoring: both\n': '',
};

function steeredJob(changes: Readonly<Record<string, string>> = {}): JobFiles {
  const job = makeJob(model, { ...STEERED, ...changes });
  writeFileSync(join(job.folder, 'validation.csv'), sentences(9, 200));
  return job;
}

function evaluationsOf(job: JobFiles): LoggedEvaluation[] {
  const lines = readFileSync(join(runFolder(job), 'subjects/eval.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as LoggedEvaluation);
}

/** What a run leaves that may not depend on how often it was interrupted. */
function left(job: JobFiles) {
  const folder = join(runFolder(job), 'subjects');
  const steps = readFileSync(join(folder, 'train.jsonl'), 'utf8').trim().split('\n');
  const { training, validation_rows } = JSON.parse(
    readFileSync(join(folder, 'result.json'), 'utf8'),
  ) as TaskResult;
  const { seconds, ...trained } = training!;
  assert.ok(seconds > 0);
  return {
    ...artefacts(job),
    steps: steps.map((line) => (JSON.parse(line) as { step: number }).step),
    evaluations: evaluationsOf(job).map(({ seconds, time, ...rest }) => {
      assert.ok(seconds > 0 && time > 0);
      return rest;
    }),
    ...{ trained, validation_rows },
  };
}

test('a run stops early, keeps its best checkpoint, and tells of both', async () => {
  const job = steeredJob();
  const started = performance.now();
  const { code, stdout, stderr } = await westwind(['run', job.config]);
  seconds = (performance.now() - started) / 1000;
  assert.equal(code, 0, stderr);
  expected = left(job);
  const { best_step, best_metric, ...trained } = expected.trained;
  const accuracies = expected.evaluations.map(({ step, metrics }) => [step, metrics!['accuracy']!] as const);
  const first = accuracies.find(([, accuracy]) => accuracy === Math.max(...accuracies.map(([, a]) => a)))!;
  assert.deepEqual([best_step, best_metric], first);
  assert.equal(trained.steps, first[0] + 12);
  assert.ok(trained.steps < 40);
  assert.deepEqual([trained.metric_for_best_model, trained.stopped_early], ['accuracy', true]);
  assert.equal(expected.validation_rows, 9);
  assert.match(stdout, new RegExp(`subjects: step ${best_step!} {2}eval loss \\d.*, best so far`));
  assert.match(
    stdout,
    new RegExp(`${trained.steps} steps.*best accuracy 0\\.\\d+ behind step ${best_step!}, stopped early`),
  );
  // The rate is constant: a training of as many steps has the same adapter.
  const short = makeJob(model, { 'max_steps: 40': `max_steps: ${best_step!}`, '    scoring: both\n': '' });
  const ended = await westwind(['run', short.config]);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(artefacts(short)['adapter'], artefacts(job)['adapter']);
});

test('killed behind an evaluation’s record, it ends the same', async () => {
  // The best so far, a worse one, and the last, behind which the best is loaded.
  const { best_step, steps } = expected.trained;
  for (const step of [best_step!, best_step! + 4, steps]) {
    const job = steeredJob();
    const run = start(['run', job.config]);
    await run.until(`step ${step}  eval`);
    run.signal('SIGKILL');
    await run.ended;
    const { code, stderr } = await westwind(['run', job.config]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(left(job), expected, `killed behind step ${step}`);
  }
});

test('killed at random moments and resumed, it ends the same', async (t) => {
  const kills = Number(process.env['WESTWIND_KILLS'] ?? 4);
  let job = steeredJob();
  let jobs = 1;
  for (let tries = 0, killed = 0; killed < kills; tries++) {
    const run = start(['run', job.config]);
    const share = 0.2 + (0.7 * philox4x32([tries, 0, 0, 0], [3, 9])[0]) / 2 ** 32;
    await Promise.race([sleep(1000 * seconds * share), run.ended]);
    run.signal('SIGKILL');
    const { signal, stderr } = await run.ended;
    assert.equal(stderr, '');
    if (signal === 'SIGKILL') killed++;
    else {
      assert.deepEqual(left(job), expected);
      job = steeredJob();
      jobs++;
    }
  }
  const { code, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(left(job), expected);
  t.diagnostic(`${kills} kills of ${jobs} runs`);
});

test('runs of a study stop each on its own', async () => {
  const job = steeredJob({
    'early_stopping_patience: 3': 'early_stopping_patience: [3, 1, 0]',
    '    baselines: [zero_shot]\n': '    baselines: []\n',
  });
  const trainings = await trainingsOf(job);
  assert.deepEqual(
    trainings.map(({ steps }) => steps),
    [8, expected.trained.steps, 40],
  );
});

test('a shorter run of a study has the best of its own evaluations', async () => {
  const job = steeredJob({
    'early_stopping_patience: 3': 'early_stopping_patience: 0',
    'eval_steps: 0.1': 'eval_steps: 4',
    'max_steps: 40': 'max_steps: [40, 20]',
    '    baselines: [zero_shot]\n': '    baselines: []\n',
  });
  const trainings = await trainingsOf(job);
  assert.deepEqual(
    trainings.map(({ steps, best_step }) => [steps, best_step]),
    [
      [20, 16],
      [40, 24],
    ],
  );
});

/** Of a study's runs, the shortest first. */
async function trainingsOf(job: JobFiles): Promise<NonNullable<TaskResult['training']>[]> {
  const { code, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
  const trainings = readdirSync(job.runs).map((id) => {
    const text = readFileSync(join(job.runs, id, 'subjects/result.json'), 'utf8');
    return (JSON.parse(text) as TaskResult).training!;
  });
  return trainings.sort((a, b) => a.steps - b.steps);
}

test('validation rows that are test or training rows are refused', async () => {
  const refused = async (job: JobFiles, message: RegExp): Promise<void> => {
    const { code, stderr } = await westwind(['run', job.config]);
    assert.equal(code, 2);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  };
  const other = (path: string): JobFiles =>
    steeredJob({ 'validation: {path: validation.csv}': `validation: {path: ${path}}` });
  const tested = /job\.yaml:\d+: tasks\.subjects\.validation\.path is where the test rows are from/;
  await refused(other('test.csv'), tested);
  const linked = other('linked.csv');
  symlinkSync(join(linked.folder, 'test.csv'), join(linked.folder, 'linked.csv'));
  await refused(linked, tested);
  const copied = other('copied.csv');
  writeFileSync(join(copied.folder, 'copied.csv'), readFileSync(join(copied.folder, 'test.csv')));
  await refused(copied, /9 of 9 validation rows are test rows/);
  const hard = other('hard.csv');
  linkSync(join(hard.folder, 'test.csv'), join(hard.folder, 'hard.csv'));
  await refused(hard, /9 of 9 validation rows are test rows/);
  await refused(
    other('train.csv'),
    /48 of 48 validation rows are training rows.*split: \{validation: 0\.1\}/,
  );
});
