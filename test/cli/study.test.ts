/** `westwind run` of a study: its grid, runs that share a process, faults, kills, and what is not done twice. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { philox4x32 } from '../../src/util/philox.js';
import { makeJob, makeModel, start, temporaryFolder, westwind, type JobFiles } from './support.js';

let model: string;
/** Of a study that nothing disturbed: by run, what it left. */
let expected: Record<string, string>;
let tables: string;
let report: Record<string, string>;
let seconds: number;

const GRID = {
  'max_steps: 40': 'max_steps: 6',
  'neftune_noise_alpha: 5': 'neftune_noise_alpha: [0, 5]',
  'r: 4': 'r: [2, 4]',
};
const study = (changes: Record<string, string> = {}): JobFiles => makeJob(model, { ...GRID, ...changes });

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

/** Every file of the runs that has no times in it. */
function artefacts(job: JobFiles): Record<string, string> {
  const files = readdirSync(job.runs, { recursive: true }).map(String).sort();
  const kept = files.filter((file) =>
    /predictions-.*\.jsonl$|adapter_model\.safetensors$|scores-.*\.json$/.test(file),
  );
  return Object.fromEntries(kept.map((file) => [file, contentOf(join(job.runs, file))]));
}

/** Answers are written as they come; which ones come together is not part of the result. */
function contentOf(path: string): string {
  const content = readFileSync(path);
  return path.endsWith('.jsonl')
    ? content.toString().split('\n').sort().join('\n')
    : content.toString('base64');
}

/** What `westwind report` makes of a study: report.md and the tables, which have no times in them as the HTML's manifests do. */
async function reportOf(job: JobFiles): Promise<Record<string, string>> {
  const out = join(job.folder, 'report');
  const { code, stderr } = await westwind(['report', job.runs, '-o', out]);
  assert.equal(code, 0, stderr);
  const tables = readdirSync(join(out, 'tables')).sort();
  const files = ['report.md', ...tables.map((name) => join('tables', name))];
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(out, file), 'utf8')]));
}

/** From the first line of the tables on, which have no times. */
function tablesOf(stdout: string): string {
  return /^\| subjects +\|[^]*\|$/m.exec(stdout)![0];
}

test('a study shows its grid, does each run once, and knows what is done', async () => {
  const job = study();
  const dry = await westwind(['run', job.config, '--dry-run']);
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /lora\.r: 2, 4\n/);
  assert.match(dry.stdout, /\| subjects, zero-shot +\|/);
  assert.match(dry.stdout, /\| subjects, r 4, neftune_noise_alpha 5 +\| +\d+ \| +0\.\d+ \| +[\d.]+ s \|/);
  assert.match(dry.stdout, /\| 5 runs +\|/);
  assert.equal(existsSync(job.runs), false);

  const started = performance.now();
  const first = await westwind(['run', job.config]);
  seconds = (performance.now() - started) / 1000;
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /5 of 5 runs are done/);
  tables = tablesOf(first.stdout);
  assert.equal(tables.match(/^\| LoRA /gm)!.length, 4);
  assert.equal(tables.match(/^\| zero-shot /gm)!.length, 1);
  expected = artefacts(job);
  assert.equal(readdirSync(job.runs).length, 5);
  report = await reportOf(job);
  assert.ok(Object.keys(report).length > 2);
  assert.match(report['report.md']!, /\| LoRA, NEFTune, rank 4 /);

  const again = await westwind(['run', job.config]);
  assert.doesNotMatch(again.stdout, /step \d|answers/);
  assert.equal(tablesOf(again.stdout), tables);

  // One more value: only its runs are new.
  const more = await westwind(['run', job.config, '--set', 'lora.r=[2, 4, 8]']);
  assert.equal(more.code, 0, more.stderr);
  assert.match(more.stdout, /7 of 7 runs are done/);
  assert.doesNotMatch(more.stdout, /r [24], .*step/);
  assert.equal(readdirSync(job.runs).length, 7);
});

test('a run of a study has the bits that its own configuration has alone', async () => {
  const job = study();
  const alone = await westwind([
    ...['run', job.config, '--set', 'lora.r=4', '--set', 'training.neftune_noise_alpha=5'],
    ...['--set', 'tasks.subjects.baselines=[]'],
  ]);
  assert.equal(alone.code, 0, alone.stderr);
  const found = artefacts(job);
  assert.ok(Object.keys(found).length > 3);
  for (const [file, content] of Object.entries(found)) assert.equal(content, expected[file], file);
});

test('a study killed at random moments and resumed ends in the tables, report and bits of one that was not', async (t) => {
  const kills = Number(process.env['WESTWIND_KILLS'] ?? 4);
  let job = study();
  let studies = 1;
  for (let tries = 0, killed = 0; killed < kills; tries++) {
    const run = start(['run', job.config]);
    const share = 0.2 + (0.7 * philox4x32([tries, 0, 0, 0], [2, 10])[0]) / 2 ** 32;
    await Promise.race([sleep(1000 * seconds * share), run.ended]);
    run.signal('SIGKILL');
    const { signal } = await run.ended;
    if (signal === 'SIGKILL') killed++;
    else {
      assert.deepEqual(artefacts(job), expected);
      job = study();
      studies++;
    }
  }
  const end = await westwind(['run', job.config]);
  assert.equal(end.code, 0, end.stderr);
  assert.equal(tablesOf(end.stdout), tables);
  assert.deepEqual(artefacts(job), expected);
  assert.deepEqual(await reportOf(job), report);
  t.diagnostic(`${kills} kills of ${studies} studies`);
});

test('Ctrl-C stops a study, and the same command goes on with it', async () => {
  const job = study();
  const run = start(['run', job.config]);
  await run.until('step 6/6');
  run.signal('SIGINT');
  const stopped = await run.ended;
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.ok(stopped.stdout.includes(`go on with: westwind run ${job.config}`));
  const end = await westwind(['run', job.config]);
  assert.equal(end.code, 0, end.stderr);
  assert.equal(tablesOf(end.stdout), tables);
  assert.deepEqual(artefacts(job), expected);
});

test('a run that fails is recorded with its cause, the others go on, and it is tried again', async () => {
  // A rate at which the loss is no number any more.
  const job = study({ 'learning_rate: 5e-3': 'learning_rate: [5e-3, 1e30]', 'r: [2, 4]': 'r: 2' });
  const first = await westwind(['run', job.config]);
  assert.equal(first.code, 2);
  assert.match(first.stdout, /3 of 5 runs are done/);
  assert.match(first.stderr, /learning_rate 1e\+30.* failed: step \d: the (loss|gradient)/);
  assert.match(first.stderr, /2 of 5 runs failed; the same command tries them again/);
  const faults = readdirSync(job.runs).filter((id) => existsSync(join(job.runs, id, 'failed.json')));
  assert.equal(faults.length, 2);
  const fault = JSON.parse(readFileSync(join(job.runs, faults[0]!, 'failed.json'), 'utf8')) as {
    message: string;
  };
  assert.match(fault.message, /lower learning_rate/);
  const fast = await westwind(['run', job.config, '--fail-fast']);
  assert.equal(fast.code, 2);
  assert.doesNotMatch(fast.stdout, /runs are done/);
});

test('what cannot be planned fails its runs, not the study, and a study of nothing else begins nothing', async () => {
  // A model that is not there, and a context that has no room for an example.
  const job = study({
    'r: [2, 4]': 'r: 2',
    'neftune_noise_alpha: [0, 5]': 'neftune_noise_alpha: 0',
    'baselines: [zero_shot]': 'baselines: [few_shot]',
    'model_name_or_path: ': 'model_name_or_path: [',
    '\noutput_dir': `, ${model}-none]\noutput_dir`,
  });
  const run = await westwind(['run', job.config]);
  assert.equal(run.code, 2);
  assert.match(run.stdout, /model, few-shot +\| +\| cannot run \|/);
  const causes = run.stderr.split('\n').slice(0, 3);
  const noRoom = /few-shot: the few_shot prompt: half of \d+ tokens has no room for a single example/;
  assert.equal(causes.filter((line) => noRoom.test(line)).length, 1, run.stderr);
  assert.equal(causes.filter((line) => line.includes('model-none')).length, 2);
  assert.match(run.stdout, /1 of 4 runs are done/);
  assert.match(run.stderr, /few-shot failed: the few_shot prompt: half of \d+ tokens/);
  const hopeless = [job.config, '--set', `model_name_or_path=${model}-none`];
  for (const verb of ['run', 'plan']) {
    const none = await westwind([verb, ...hopeless]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /^westwind: [^\n]*model-none[^\n]*\n$/);
  }
});

test('a longer training gives the shorter ones of the same settings, to their own bits', async () => {
  const lengths = { 'max_steps: 6': 'max_steps: [2, 6, 4]', 'r: [2, 4]': 'r: 2' };
  const together = study({ ...lengths, 'neftune_noise_alpha: [0, 5]': 'neftune_noise_alpha: 5' });
  const all = await westwind(['run', together.config]);
  assert.equal(all.code, 0, all.stderr);
  assert.match(all.stdout, /max_steps 2: step 2\/2/);
  const found = artefacts(together);
  const job = study();
  for (const steps of [2, 4]) {
    const settings = [`training.max_steps=${steps}`, 'lora.r=2', 'training.neftune_noise_alpha=5'];
    const alone = ['run', job.config, '--set', 'tasks.subjects.baselines=[]'];
    const run = await westwind([...alone, ...settings.flatMap((s) => ['--set', s])]);
    assert.equal(run.code, 0, run.stderr);
  }
  const own = artefacts(job);
  assert.ok(Object.keys(own).filter((file) => file.endsWith('adapter_model.safetensors')).length === 2);
  for (const [file, content] of Object.entries(own)) assert.equal(found[file], content, file);
});
