/** The command line over every family: a study whose axis is the model, and a T5 through run, stop, generate, merge and plan. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, test } from 'node:test';
import { readTable } from '../../src/data/read.js';
import { familyConfig, tinyT5 } from '../support/tiny.js';
import { makeModel, runFolder, start, temporaryFolder, westwind, type JobFiles } from './support.js';

const DATA = resolve(import.meta.dirname, '../../examples/data');
const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3', 'gemma3_text', 'gpt_neox', 'falcon', 't5'];

let models: string[];

before(async () => {
  const folder = temporaryFolder();
  models = [];
  for (const family of FAMILIES) {
    const config = family === 't5' ? tinyT5() : familyConfig(family);
    models.push(await makeModel(join(folder, family), { ...config, max_position_embeddings: 512 }));
  }
});

const t5 = (): string => models[FAMILIES.indexOf('t5')]!;

/** The training section is the same for all jobs of this file; `steps` of two texts each. */
function configuration(model: string, runs: string, steps: number, lora: string): string {
  return `model_name_or_path: ${model}
output_dir: ${runs}
seed: 5
${lora}
training:
  max_steps: ${steps}
  per_device_train_batch_size: 2
  gradient_accumulation_steps: 1
  learning_rate: 5e-3
  max_length: 256
  packing: isolated
  logging_steps: 1
  save_steps: 1
generation: {batch_size: 4}
tasks:
`;
}

const LORA = 'lora: {r: 4, lora_alpha: 8, target_modules: all-linear}';

/** The first rows of a file of the repository's data, as JSON. */
async function rows(file: string, count: number): Promise<string> {
  return JSON.stringify((await readTable(join(DATA, file))).slice(0, count));
}

async function makeStudy(): Promise<JobFiles> {
  const folder = temporaryFolder();
  const runs = join(folder, 'runs');
  const train = (await readTable(join(DATA, 'posts/train.csv'))).slice(0, 12);
  const labels = new Set(train.map(({ label }) => label));
  const known = (await readTable(join(DATA, 'posts/test.csv'))).filter(({ label }) => labels.has(label));
  writeFileSync(join(folder, 'train.json'), JSON.stringify(train));
  writeFileSync(join(folder, 'test.json'), JSON.stringify(known.slice(0, 6)));
  const config = join(folder, 'study.yaml');
  writeFileSync(
    config,
    `${configuration(`[${models.join(', ')}]`, runs, 3, 'lora: {r: 4, lora_alpha: 8}')}  posts:
    task: classification
    columns: {text: text, label: label}
    train: {path: train.json}
    test: {path: test.json}
    baselines: []
    scoring: both
    max_new_tokens: 8
`,
  );
  return { folder, config, runs };
}

async function makeSummaries(steps: number, lora: string): Promise<JobFiles> {
  const folder = temporaryFolder();
  const runs = join(folder, 'runs');
  writeFileSync(join(folder, 'train.json'), await rows('dialogues/train.json', 12));
  writeFileSync(join(folder, 'test.json'), await rows('dialogues/test.json', 3));
  const config = join(folder, 'job.yaml');
  writeFileSync(
    config,
    `${configuration(t5(), runs, steps, lora)}  dialogues:
    task: summarization
    columns: {dialogue: dialogue, summary: summary}
    train: {path: train.json}
    test: {path: test.json}
    baselines: []
    max_new_tokens: 8
`,
  );
  return { folder, config, runs };
}

async function output(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await westwind(args);
  assert.equal(code, 0, `westwind ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** The weights that the run trained, by file. */
function weights(job: JobFiles): Record<string, string> {
  const task = join(runFolder(job), 'dialogues');
  const files = readdirSync(task, { recursive: true }).map(String).sort();
  const kept = files.filter((file) => /^(adapter|model)\/.*\.safetensors$/.test(file));
  return Object.fromEntries(kept.map((file) => [file, readFileSync(join(task, file)).toString('base64')]));
}

test('a study over all families ends, and its report sets the models beside one another', async () => {
  const job = await makeStudy();
  assert.match(await output(['run', job.config]), /8 of 8 runs are done/);
  // By default on queries and values, as each family names them.
  const targets = readdirSync(job.runs, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('adapter/adapter_config.json'))
    .map((file) => JSON.parse(readFileSync(join(job.runs, file), 'utf8')) as { target_modules: string[] });
  const named = targets.map(({ target_modules }) => target_modules.join(' ')).sort();
  const fused = FAMILIES.filter((family) => ['falcon', 'gpt_neox'].includes(family));
  assert.deepEqual(named, [
    'q v',
    ...Array<string>(FAMILIES.length - fused.length - 1).fill('q_proj v_proj'),
    ...fused.map(() => 'query_key_value'),
  ]);
  const report = join(job.folder, 'report');
  await output(['report', job.runs, '-o', report]);
  const text = readFileSync(join(report, 'report.md'), 'utf8');
  const start = text.indexOf('Table 3');
  assert.ok(start >= 0, text);
  const table = text.slice(start);
  for (const family of FAMILIES) {
    const row = table
      .split('\n')
      .find((line) => line.startsWith('|') && line.replaceAll('\\', '').includes(` ${family} `));
    assert.match(row ?? '', /\d+\.\d+ \[\d+\.\d+, \d+\.\d+\]/, `${family}\n${table}`);
  }
});

test('a T5 stops on Ctrl-C and ends in the bits of one undisturbed; it is merged, and answers', async () => {
  const undisturbed = await makeSummaries(12, LORA);
  await output(['run', undisturbed.config]);
  const job = await makeSummaries(12, LORA);
  const run = start(['run', job.config]);
  await run.until('step 2/12');
  run.signal('SIGINT');
  const stopped = await run.ended;
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(await output(['run', job.config]), /going on after \d+ of 12/);
  const expected = weights(undisturbed);
  assert.ok(Object.keys(expected).length > 0);
  assert.deepEqual(weights(job), expected);

  const adapter = join(runFolder(job), 'dialogues/adapter');
  const merged = join(job.folder, 'merged');
  assert.match(await output(['merge', adapter, '-o', merged]), /merged \d+ modules/);
  const ask = ['-p', 'A cat', '-n', '8', '--json'];
  assert.equal(await output(['generate', merged, ...ask]), await output(['generate', adapter, ...ask]));
  assert.match(await output(['plan', job.config]), /dialogues/);
});

test('a T5 of which every weight is trained is saved, and answers', async () => {
  const job = await makeSummaries(3, 'lora: false');
  assert.match(await output(['run', job.config]), /dialogues/);
  assert.deepEqual(Object.keys(weights(job)), ['model/model.safetensors']);
});
