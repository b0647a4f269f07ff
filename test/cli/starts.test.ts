/**
 * Verbs end with 0 however many threads they have, on a machine that has more to do: many are started at once, which is the load. Those that
 * compute by native code are started once for each number of threads, the others once; WESTWIND_STARTS=200 starts each verb 200 times.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { before, test } from 'node:test';
import { makeJob, makeModel, runFolder, temporaryFolder, westwind, type JobFiles } from './support.js';

const THREADS = [1, 2, 8, 64];
const AT_ONCE = 6;
let model: string;
let job: JobFiles;
before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
  job = makeJob(model, SHORT);
  const { code, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
});

const SHORT = { 'max_steps: 40': 'max_steps: 1' };
const inRun = (...names: string[]): string => join(runFolder(job), 'subjects', ...names);
const fresh = (name: string): string => join(temporaryFolder(), name);

/** The words of a start. */
type Words = () => string[];

const NATIVE: Readonly<Record<string, Words>> = {
  generate: () => ['generate', model, '-p', 'The cat', '-n', '8'],
  chat: () => ['chat', model],
  doctor: () => ['doctor'],
  bench: () => ['bench', '--what', 'generate', '--weights', 'f32', '--batch', '4', '--new-tokens', '4'],
  verify: () => ['verify', 'test/golden/models/qwen2'],
  run: () => ['run', makeJob(model, SHORT).config],
  merge: () => ['merge', inRun('adapter'), '--model', model, '--out', fresh('merged')],
  export: () => ['export', inRun('adapter'), '--model', model, '--out', fresh('model.gguf')],
};

const OTHERS: Readonly<Record<string, Words>> = {
  plan: () => ['plan', job.config],
  inspect: () => ['inspect', job.config],
  eval: () => ['eval', inRun('predictions-tuned.jsonl')],
  compare: () => ['compare', runFolder(job), runFolder(job)],
  ls: () => ['ls', job.runs],
  report: () => ['report', job.runs, '--out', fresh('report')],
  rm: () => ['rm', '--yes', copyOfRun()],
  init: () => ['init', 'classification', '--out', fresh('job.yaml')],
  schema: () => ['schema'],
};

function copyOfRun(): string {
  const copy = fresh(basename(runFolder(job)));
  cpSync(runFolder(job), copy, { recursive: true });
  return copy;
}

const asked = process.env['WESTWIND_STARTS'];
for (const [verb, words] of [...Object.entries(NATIVE), ...Object.entries(OTHERS)])
  test(`${verb} ends well on any number of threads, each time`, async () => {
    const starts = Number(asked ?? (verb in NATIVE ? THREADS.length : 1));
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < starts) {
        const threads = THREADS[next++ % THREADS.length]!;
        const env = { WESTWIND_THREADS: String(threads) };
        const { code, signal, stderr } = await westwind(words(), { env });
        assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${threads} threads: ${stderr}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  });

const command = resolve(import.meta.dirname, '../../dist/cli/main.js');
test('the build starts as a command of its own, as a shell starts it', { skip: !existsSync(command) }, () => {
  assert.match(execFileSync(command, ['--version'], { encoding: 'utf8' }), /^\d+\.\d+\.\d+$/m);
});
