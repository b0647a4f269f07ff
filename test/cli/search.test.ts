/** `westwind run` of a search: trials that stop for the sake of others, killed and gone on with, and what is said of them. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { RUN_FILES, TASK_FILES } from '../../src/experiments/store/layout.js';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { standingOf } from '../../src/train/halving.js';
import { makeJob, makeModel, sentences, start, temporaryFolder, westwind, type JobFiles } from './support.js';

let model: string;
/** Of a search that nothing disturbed, and its job. */
let expected: Record<string, unknown>;
let whole: JobFiles;

const TRIALS = 6;
const SEARCHED = {
  'max_steps: 40': 'max_steps: 8',
  '5e-3': '{low: 1.e-4, high: 3.e-2, log: true}',
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
  const found = readdirSync(runs).flatMap((id): Trial[] => {
    const folder = join(runs, id, 'subjects');
    const { config } = RUN_FILES.manifest.read(join(runs, id));
    const result = TASK_FILES.result.find(folder);
    return config.tasks[0]!.tune && result ? [{ id, folder, trial: config.search!.trial, result }] : [];
  });
  return found.sort((a, b) => a.trial - b.trial);
}

/** What a search leaves that may not depend on how often it was interrupted, by run. */
function left(job: JobFiles): Record<string, unknown> {
  return Object.fromEntries(
    trialsOf(job).map(({ id, folder, result }) => {
      const { seconds, ...training } = result.training!;
      assert.ok(seconds > 0);
      const adapter = readFileSync(join(folder, 'adapter/adapter_model.safetensors')).toString('base64');
      const evaluations = TASK_FILES.evaluations.read(folder).map(({ step, loss }) => [step, loss]);
      const metrics = result.methods.map((method) => method.metrics);
      return [id, { training, adapter, evaluations, rungs: TASK_FILES.rungs.read(folder), metrics }];
    }),
  );
}

test('trials that are not among the best so far stop at their rungs, and are not tested', async () => {
  whole = searchJob();
  const { code, stdout, stderr } = await westwind(['run', whole.config]);
  assert.equal(code, 0, stderr);
  expected = left(whole);
  const trials = trialsOf(whole);
  assert.deepEqual(
    trials.map(({ trial }) => trial),
    [1, 2, 3, 4, 5, 6],
  );
  // The baseline is one run, and no trial's.
  assert.equal(readdirSync(whole.runs).length, TRIALS + 1);
  const losses = trials.map(({ folder }) => TASK_FILES.evaluations.read(folder).map(({ loss }) => loss));
  for (const [i, { folder, result }] of trials.entries()) {
    const rungs = TASK_FILES.rungs.read(folder);
    for (const { evaluation, ...rung } of rungs) {
      assert.ok(evaluation === 1 || evaluation === 2);
      const before = losses.slice(0, i).flatMap((row) => row[evaluation - 1] ?? []);
      const figure = losses[i]![evaluation - 1]!;
      const standing = standingOf(figure, before, { reduction_factor: 2, greater_is_better: false });
      assert.deepEqual(rung, { step: 2 * evaluation, metric: 'loss', figure, ...standing });
    }
    const { stop, step } = rungs.at(-1)!;
    const { training, methods } = result;
    assert.deepEqual([training!.stopped_by, training!.stopped_early], [stop ? 'search' : undefined, stop]);
    assert.equal(training!.steps, stop ? step : 8);
    assert.equal(methods.length, stop ? 0 : 1);
    assert.equal(existsSync(join(folder, 'predictions-tuned.jsonl')), !stop);
  }
  const ended = trials.filter(({ result }) => !result.training!.stopped_by);
  assert.ok(ended.length > 0 && ended.length < TRIALS);

  const last = ({ folder }: Trial): number => TASK_FILES.evaluations.read(folder).at(-1)!.loss;
  const [best] = ended.sort((a, b) => last(a) - last(b)) as [Trial];
  const stopped = TRIALS - ended.length;
  assert.match(
    stdout,
    new RegExp(
      `subjects: best of 6 tried, by validation loss ${last(best).toFixed(4)}: trial ${best.trial}, .*learning_rate .*; ${stopped} of them stopped on the way\n`,
    ),
  );
  assert.match(stdout, /flatters itself/);
  assert.equal(stdout.match(/^\| LoRA .* stopped, step \d/gm)!.length, stopped);
});

test('what is shown of a search counts its trials, and what of them stopped', async () => {
  const dry = await westwind(['run', whole.config, '--dry-run']);
  assert.match(dry.stdout, /asha search: 6 trials, by seed 42; the sums are of trials that all go to/);
  const ls = await westwind(['ls', whole.runs]);
  assert.match(ls.stdout, /stopped by the search/);
  assert.deepEqual(left(whole), expected);
});

test('a search that is killed behind a decision, and in the middle of a trial, ends the same', async () => {
  const job = searchJob();
  // Told before anything follows from it, and behind what follows.
  for (const text of ['stops behind step', 'step 4  eval']) {
    const run = start(['run', job.config]);
    await run.until(text);
    run.signal('SIGKILL');
    await run.ended;
  }
  // More trials come behind those before.
  const { code, stderr } = await westwind(['run', job.config, '--set', 'search.trials=7']);
  assert.equal(code, 0, stderr);
  assert.equal(trialsOf(job).length, TRIALS + 1);
  const [seventh] = trialsOf(job).slice(-1) as [Trial];
  const others = Object.entries(left(job)).filter(([id]) => id !== seventh.id);
  assert.deepEqual(Object.fromEntries(others), expected);
});
