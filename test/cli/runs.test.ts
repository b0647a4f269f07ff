/** What looks after runs that are there: ls, compare, rm. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeJob, makeModel, start, temporaryFolder, westwind, type JobFiles } from './support.js';

let job: JobFiles;
const quick = { 'max_steps: 40': 'max_steps: 3' };

before(async () => {
  const model = await makeModel(join(temporaryFolder(), 'model'));
  job = makeJob(model, { ...quick, 'learning_rate: 5e-3': 'learning_rate: [5e-3, 1e30]' });
  assert.equal((await westwind(['run', job.config])).code, 2);
});

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly what: string;
  readonly failure?: string;
}

async function listed(): Promise<Listed[]> {
  const { stdout } = await westwind(['ls', job.runs, '--json']);
  const lines = stdout.trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Listed);
}

test('ls: each run with its state, what it was and its figure', async () => {
  const runs = await listed();
  const told = runs.map(({ state, what }) => `${state} ${what}`).sort();
  assert.deepEqual(told, ['failed ', 'finished LoRA', 'finished zero-shot']);
  assert.match(runs.find(({ state }) => state === 'failed')!.failure!, /step \d/);
  const { stdout } = await westwind(['ls', job.runs]);
  assert.match(stdout, /\| finished \| subjects \|.*\| +LoRA \|.* accuracy \d+\.\d\d \[/);
  const none = await westwind(['ls', join(job.folder, 'none')]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /^westwind: .*none is no folder/);
});

test('compare: figures side by side, a paired test, settings and rows that differ', async () => {
  const runs = await listed();
  const id = (what: string): string => runs.find((run) => run.what === what)!.id;
  const [a, b] = [id('LoRA'), id('zero-shot')];
  const { stdout, code } = await westwind(['compare', a.slice(0, 6), b, '--runs', job.runs]);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`\\| subjects +\\| +${a} \\| +${b} \\| +difference \\| +p \\|`));
  assert.match(stdout, /\| method +\| +tuned \| +zero_shot \|/);
  const json = JSON.parse((await westwind(['compare', a, b, '--runs', job.runs, '--json'])).stdout) as {
    figures: { accuracy: { a: number; b: number; comparison: { difference: number } } };
  }[];
  const { accuracy } = json[0]!.figures;
  assert.ok(Math.abs(accuracy.comparison.difference - (accuracy.a - accuracy.b)) < 1e-12);
  const unknown = await westwind(['compare', 'ffff', b, '--runs', job.runs]);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /ffff is no run's folder/);
});

test('rm: asks, and removes nothing that is no run or is worked on', async () => {
  const runs = await listed();
  const failed = runs.find(({ state }) => state === 'failed')!.id;
  const unasked = await westwind(['rm', failed, '--runs', job.runs]);
  assert.equal(unasked.code, 2);
  assert.match(unasked.stderr, /nobody is there to be asked: say --yes/);
  writeFileSync(join(job.folder, 'precious.txt'), 'x');
  const noRun = await westwind(['rm', job.folder, '--yes']);
  assert.equal(noRun.code, 2);
  assert.ok(existsSync(join(job.folder, 'precious.txt')));
  assert.equal(readdirSync(job.runs).length, 3);
  const removed = await westwind(['rm', failed, '--runs', job.runs, '--yes']);
  assert.equal(removed.code, 0, removed.stderr);
  assert.match(removed.stdout, /removed 1 run\n$/);
  assert.equal(readdirSync(job.runs).length, 2);

  const busy = start([
    'run',
    job.config,
    '--set',
    'training.learning_rate=1e-3',
    '--set',
    'training.max_steps=400000',
  ]);
  await busy.until('step 1');
  const other = (await listed()).find(({ state }) => state === 'running')!;
  const refused = await westwind(['rm', other.id, '--runs', job.runs, '--yes']);
  busy.signal('SIGKILL');
  await busy.ended;
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /is being worked on: stop it first/);
});
