/** Wrong input, as a person meets it: one clear line that names the thing, exit code 1 or 2, no stack. */

import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import {
  makeJob,
  makeModel,
  runFolder,
  sentences,
  start,
  temporaryFolder,
  westwind,
  type Outcome,
} from './support.js';

let model: string;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

function assertOneLine({ code, stdout, stderr }: Outcome, expected: RegExp): void {
  assert.match(stderr, expected);
  assert.match(stderr, /^westwind: [^\n]+\n$/, `not one line: ${stderr}`);
  assert.doesNotMatch(stdout + stderr, /\n +at |node:internal|undefined|\[object/);
  assert.ok(code === 1 || code === 2, `exit code ${code}`);
}

/** A copy of the model with one file replaced. */
function damaged(change: (folder: string) => void): string {
  const folder = join(temporaryFolder(), 'model');
  cpSync(model, folder, { recursive: true });
  change(folder);
  return folder;
}

function edit(file: string, change: (text: string) => string): (folder: string) => void {
  return (folder) => writeFileSync(join(folder, file), change(readFileSync(join(folder, file), 'utf8')));
}

/** What is wrong with a job's configuration, model or data, and what is said of it. */
const FAULTS: Readonly<Record<string, readonly [() => { config: string }, RegExp]>> = {
  'a misspelt key': [
    () => makeJob(model, { learning_rate: 'learnig_rate' }),
    /job\.yaml:9: training\.learnig_rate .*learning_rate/,
  ],
  'a value of the wrong type': [
    () => makeJob(model, { 'max_length: 128': 'max_length: long' }),
    /job\.yaml:10: training\.max_length/,
  ],
  'a configuration that is not there': [() => ({ config: '/nowhere/job.yaml' }), /\/nowhere\/job\.yaml/],
  'data that is not there': [
    () => makeJob(model, { 'train.csv': 'trian.csv' }),
    /job\.yaml:19: tasks\.subjects\.train\.path is trian\.csv/,
  ],
  'a model folder that is not there': [() => makeJob('./no/such/model'), /no\/such\/model/],
  'weights cut off': [
    () => makeJob(damaged((folder) => truncateSync(join(folder, 'model.safetensors'), 50_000))),
    /model\.safetensors/,
  ],
  'a tokenizer cut off': [
    () => makeJob(damaged(edit('tokenizer.json', (text) => text.slice(0, 2000)))),
    /tokenizer\.json/,
  ],
  'a config.json that is no JSON': [
    () => makeJob(damaged(edit('config.json', () => '{"model_type": mistral}'))),
    /config\.json/,
  ],
  'a model of a kind that is not known': [
    () => makeJob(damaged(edit('config.json', (text) => text.replace('"mistral"', '"mamba"')))),
    /config\.json: model_type 'mamba' is not supported; Westwind knows .*mistral/,
  ],
  'a config.json that does not fit the weights': [
    () =>
      makeJob(
        damaged(edit('config.json', (text) => text.replace('"hidden_size": 64', '"hidden_size": 128'))),
      ),
    /shape/,
  ],
  'a column without a single value': [
    () => withData('train.csv', sentences(12).replace(/,\w+$/gm, ',')),
    /train\.csv/,
  ],
  'a column that is not there': [
    () => withData('train.csv', sentences(12).replace('text,label', 'text,lable')),
    /train\.csv has no column "label"; did you mean "lable"/,
  ],
  'a row whose answer does not fit': [
    () => makeJob(model, { 'max_length: 128': 'max_length: 8' }),
    /row 1.*max_length 8/,
  ],
  'a loss that is not finite': [
    () => makeJob(model, { 'learning_rate: 5e-3': 'learning_rate: 1e30\n  max_grad_norm: 0' }),
    /step \d+: the .* is (NaN|Infinity).*rows are row \d/,
  ],
  'a folder for the runs that is a file': [
    () => {
      const job = makeJob(model);
      writeFileSync(job.runs, '');
      return job;
    },
    /cannot write .*runs/,
  ],
};

function withData(file: string, text: string): { config: string } {
  const job = makeJob(model);
  writeFileSync(join(job.folder, file), text);
  return job;
}

describe('westwind run says what is wrong', { concurrency: 2 }, () => {
  for (const [name, [prepare, expected]] of Object.entries(FAULTS))
    it(name, async () => {
      const offline = { HF_HUB_OFFLINE: '1' };
      assertOneLine(await westwind(['run', prepare().config], { env: offline }), expected);
    });

  it('a disk that takes no more', async () => {
    const job = makeJob(model);
    // The checkpoint is larger than this, whichever unit the shell counts in; everything before it is smaller.
    const full = await westwind(['run', job.config], { shell: 'ulimit -f 90' });
    assertOneLine(full, /cannot write .*step-3\.safetensors/);
    const resumed = await westwind(['run', job.config]);
    assert.equal(resumed.code, 0, resumed.stderr);
  });

  it('what a finished run left is damaged', async () => {
    const job = makeJob(model);
    assert.equal((await westwind(['run', job.config])).code, 0);
    const file = (name: string): string => join(runFolder(job), 'subjects', name);
    writeFileSync(file('result.json'), '{');
    assertOneLine(
      await westwind(['run', job.config]),
      /result\.json is damaged \(it is not valid JSON.*: remove it/,
    );
    rmSync(file('result.json'));
    writeFileSync(file('predictions-tuned.jsonl'), 'damaged\n');
    assertOneLine(
      await westwind(['run', job.config]),
      /predictions-tuned\.jsonl: record 1 is damaged \(it is not JSON\); remove/,
    );
    rmSync(file('predictions-tuned.jsonl'));
    assert.equal((await westwind(['run', job.config])).code, 0);
  });

  it("the run's own process dies", async () => {
    const job = makeJob(model, { 'max_steps: 40': 'max_steps: 400000' });
    const run = start(['run', job.config]);
    await run.until('step 2/');
    process.kill(Number.parseInt(readFileSync(join(runFolder(job), 'running.pid'), 'utf8')), 'SIGKILL');
    assertOneLine(await run.ended, /ended by SIGKILL .*the same command goes on/);
  });
});

describe('the other verbs say what is wrong', { concurrency: 2 }, () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['run'], /missing required argument 'config'/],
    [['generate', '/nowhere', '-p', 'Hello'], /\/nowhere/],
    [['generate', 'examples/model', '-p', 'Hello', '--system', 'Be brief.'], /--system goes with --chat/],
    [['generate', 'examples/model', '-f', '/nowhere'], /cannot read \/nowhere: there is no such file/],
    [['merge', '/nowhere', '-o', '/tmp/out'], /\/nowhere/],
    [['verify', '/nowhere'], /\/nowhere/],
    [['bench', '--model', '7b'], /no shape '7b': 6m, 126m/],
    [['bench', '--what', 'dance'], /gemm, train, generate, load are known/],
    [['init', 'poetry'], /Allowed choices are classification, summarization, custom/],
    [['eval', '/nowhere.jsonl', '--metric', 'rouge'], /\/nowhere\.jsonl/],
  ];
  for (const [args, expected] of cases)
    it(args.join(' '), async () => {
      assertOneLine(await westwind(args, { env: { HF_HUB_OFFLINE: '1' } }), expected);
    });
});
