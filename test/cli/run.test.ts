/** `westwind run` from outside: to the end, stopped, killed, and gone on with. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EVENTS } from '../../src/experiments/trackers/tensorboard.js';
import { readEventFile } from '../../src/experiments/trackers/tfevents.js';
import { philox4x32 } from '../../src/util/philox.js';
import {
  artefacts,
  makeJob,
  makeModel,
  runFolder,
  start,
  temporaryFolder,
  westwind,
  type JobFiles,
} from './support.js';

let model: string;
let expected: Record<string, string>;
let seconds: number;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

test('a run goes to the end, prints its table, and is recognised when asked for again', async () => {
  const job = makeJob(model);
  const started = performance.now();
  const first = await westwind(['run', job.config]);
  seconds = (performance.now() - started) / 1000;
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stderr, '');
  assert.match(first.stdout, /subjects: step 40\/40 {2}loss \d/);
  assert.match(first.stdout, /\| zero-shot +\| +\d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\] \|/);
  assert.match(first.stdout, /\| LoRA +\| +\d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\] \|/);
  const folder = runFolder(job);
  assert.ok(first.stdout.includes(folder));
  assertTidy(job);
  const losses = readFileSync(join(folder, 'subjects/train.jsonl'), 'utf8').trim().split('\n');
  assert.equal(losses.length, 40);
  expected = artefacts(job);
  assert.deepEqual(Object.keys(expected).sort(), [
    'adapter',
    'predictions-tuned-likelihood.jsonl',
    'predictions-tuned.jsonl',
    'predictions-zero_shot-likelihood.jsonl',
    'predictions-zero_shot.jsonl',
  ]);

  const second = await westwind(['run', job.config]);
  assert.equal(second.code, 0, second.stderr);
  assert.match(second.stdout, /finished before/);
  assert.doesNotMatch(second.stdout, /step \d/);
  const table = (text: string): string => /\| subjects[^]*/.exec(text)![0];
  assert.equal(table(second.stdout), table(first.stdout));
});

test('Ctrl-C saves and says how to go on, and the same command ends in the same bits', async () => {
  const job = makeJob(model);
  const run = start(['run', job.config]);
  await run.until('step 8/40');
  run.signal('SIGINT');
  const stopped = await run.ended;
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.equal(stopped.stderr, '');
  assert.ok(stopped.stdout.includes(`go on with: westwind run ${job.config}`));
  assert.doesNotMatch(stopped.stdout, /step 40\/40/);
  const folder = runFolder(job);
  // What a kill can leave: a file half written, and a lock whose process is another one by now.
  writeFileSync(join(folder, 'subjects/.adapter_model.safetensors.1.0.tmp'), 'half');
  writeFileSync(join(folder, 'running.pid'), `${process.pid} 1`);
  const resumed = await westwind(['run', job.config]);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stdout, /going on after \d+ of 40/);
  assert.deepEqual(artefacts(job), expected);
  assertTidy(job);
});

test('a second Ctrl-C quits at once, and what was saved is gone on with', async () => {
  const job = makeJob(model, { 'max_steps: 40': 'max_steps: 400000' });
  const run = start(['run', job.config]);
  await run.until('step 5/');
  run.signal('SIGINT');
  run.signal('SIGINT');
  const quit = await run.ended;
  assert.equal(quit.code, 130, quit.stderr);
  assert.match(quit.stdout, /go on with: westwind run/);
});

test('a run that is under way refuses a second one', async () => {
  const job = makeJob(model, { 'max_steps: 40': 'max_steps: 400000' });
  const run = start(['run', job.config]);
  await run.until('step 1/');
  const second = await westwind(['run', job.config]);
  run.signal('SIGKILL');
  await run.ended;
  assert.equal(second.code, 2);
  assert.match(second.stderr, /^westwind: .* is being worked on by process \d+.*\n$/);
});

test('a run killed at random moments and resumed ends in the bits of one that was not', async (t) => {
  const kills = Number(process.env['WESTWIND_KILLS'] ?? 4);
  let job = makeJob(model);
  let jobs = 1;
  for (let tries = 0, killed = 0; killed < kills; tries++) {
    const run = start(['run', job.config]);
    const share = 0.2 + (0.7 * philox4x32([tries, 0, 0, 0], [2, 9])[0]) / 2 ** 32;
    await Promise.race([sleep(1000 * seconds * share), run.ended]);
    run.signal('SIGKILL');
    const { signal, stderr } = await run.ended;
    assert.equal(stderr, '');
    if (signal === 'SIGKILL') killed++;
    else {
      // It came to its end first: the next kills are another one's.
      assertWhole(job);
      job = makeJob(model);
      jobs++;
    }
  }
  const end = await westwind(['run', job.config]);
  assert.equal(end.code, 0, end.stderr);
  assertWhole(job);
  t.diagnostic(`${kills} kills of ${jobs} runs`);
});

const STEPS = Array.from({ length: 40 }, (_, i) => i + 1);

/** The same adapter and answers as without a kill, each step recorded once in both files, nothing left over. */
function assertWhole(job: JobFiles): void {
  assert.deepEqual(artefacts(job), expected);
  const steps = readFileSync(join(runFolder(job), 'subjects/train.jsonl'), 'utf8')
    .trim()
    .split('\n');
  assert.deepEqual(
    steps.map((line) => (JSON.parse(line) as { step: number }).step),
    STEPS,
  );
  const events = readEventFile(join(runFolder(job), 'subjects', EVENTS));
  for (const tag of ['train/loss', 'train/grad_norm', 'train/learning_rate', 'train/tokens_per_second']) {
    assert.deepEqual(
      events.filter(({ scalars }) => tag in scalars).map(({ step }) => step),
      STEPS,
      tag,
    );
  }
  for (const [tag, at] of [
    ['eval/accuracy', 40],
    ['eval_zero_shot/accuracy', 0],
  ] as const) {
    assert.deepEqual(
      events.filter(({ scalars }) => tag in scalars).map(({ step }) => step),
      [at],
      tag,
    );
  }
  assertTidy(job);
}

function assertTidy(job: JobFiles): void {
  const files = readdirSync(job.runs, { recursive: true }).map(String);
  assert.deepEqual(
    files.filter((file) => /\.tmp$|\.pid$|checkpoints/.test(file)),
    [],
  );
}
