/** `westwind push`, as its users start it, to a hub on loopback. */

import assert from 'node:assert/strict';
import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { GgufFile } from '../../src/files/index.js';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { HubServer } from '../files/hub-server.js';
import { PushServer } from '../files/push-server.js';
import { makeJob, makeModel, runFolder, start, temporaryFolder, westwind, type Outcome } from './support.js';

const server = new PushServer();
let run: string;
let model: string;
let rows: string[];
let env: NodeJS.ProcessEnv;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
  writeFileSync(join(model, 'README.md'), '---\nlicense: apache-2.0\nlanguage: [en]\n---\n# Base\n');
  const job = makeJob(model, { 'max_steps: 40': 'max_steps: 2', 'scoring: both': 'scoring: generate' });
  const { code, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
  run = runFolder(job);
  rows = ['train.csv', 'test.csv']
    .flatMap((file) => readFileSync(join(job.folder, file), 'utf8').split('\n').slice(1))
    .map((line) => line.split(',')[0]!)
    .filter((text) => text !== '');
  env = { HF_ENDPOINT: await server.start(), HF_TOKEN: server.token, HF_HOME: temporaryFolder() };
});
after(() => server.stop());

const push = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Outcome> =>
  westwind(['push', ...args], { env: { ...env, ...more } });

interface Metadata {
  readonly license: string;
  readonly language: readonly string[];
  readonly base_model?: string;
  readonly library_name: string;
  readonly tags: readonly string[];
  readonly pipeline_tag: string;
  readonly 'model-index'?: readonly {
    readonly name: string;
    readonly results: readonly {
      readonly dataset: { readonly name: string; readonly args: { readonly hash: string } };
      readonly metrics: readonly {
        readonly type: string;
        readonly value: number;
        readonly args: { readonly low: number; readonly high: number; readonly rows: number };
      }[];
    }[];
  }[];
}

const metadataOf = (card: string): Metadata => parse(card.split('---\n')[1]!) as Metadata;
const pushed = (name: string): Map<string, Buffer> => server.repos.get(name)!.branches.get('main')!;

describe('westwind push', () => {
  it('shows what it would push, without a token or a network', async () => {
    const nobody = { HF_TOKEN: '', HF_ENDPOINT: 'http://127.0.0.1:9' };
    const { code, stdout, stderr } = await push([run, 'me/subjects', '--dry-run'], nobody);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /adapter_model\.safetensors \| +\d+\.\d kB/);
    assert.equal(metadataOf(stdout.slice(stdout.indexOf('---\n'))).library_name, 'peft');
    assert.match(stderr, /the base is a folder of this machine, .*: --model OWNER\/NAME names it for others/);
  });

  it('pushes an adapter with a card of what it scored, and none of its rows', async () => {
    const first = await push([run, 'me/subjects', '--private']);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^pushed 3 of 3 files, \d+\.\d kB: http.*\/me\/subjects\n$/);
    const files = pushed('me/subjects');
    for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
      assert.deepEqual(files.get(name), readFileSync(join(run, 'subjects/adapter', name)));
    const card = files.get('README.md')!.toString();
    const { license, language, library_name, pipeline_tag, tags, ...rest } = metadataOf(card);
    assert.deepEqual(
      { license, language, library_name, pipeline_tag, tags },
      {
        ...{ license: 'apache-2.0', language: ['en'], library_name: 'peft' },
        ...{ pipeline_tag: 'text-generation', tags: ['lora', 'westwind'] },
      },
    );
    const [results] = JSON.parse(readFileSync(join(run, 'results.json'), 'utf8')) as TaskResult[];
    const tuned = results!.methods.find(({ method }) => method === 'tuned')!;
    const [{ dataset, metrics }] = rest['model-index']![0]!.results as [never] as unknown as [
      NonNullable<Metadata['model-index']>[0]['results'][0],
    ];
    assert.equal(dataset.name, 'test.csv');
    assert.match(dataset.args.hash, /^[0-9a-f]{16}$/);
    assert.equal(metrics[0]!.type, 'accuracy');
    assert.equal(metrics[0]!.value, tuned.metrics['accuracy']);
    const { low, high } = tuned.intervals['accuracy']!;
    assert.deepEqual(metrics[0]!.args, { rows: 9, confidence_level: 0.95, low, high });
    assert.match(card, /### Sentence:\{text\} ### Class:/);
    assert.match(card, /training rows +\| +train\.csv \| +48 \| +[0-9a-f]{16}/);
    for (const [path, content] of files)
      for (const row of rows) assert.ok(!content.toString('latin1').includes(row), `${path}: ${row}`);
    // Nor where anything lies.
    assert.ok(!card.includes(run) && !card.includes(model), card);

    const again = await push([run, 'me/subjects', '--private']);
    assert.match(again.stdout, /^nothing to push: .*\/me\/subjects has it all\n$/);
  });

  it('is answered by and exported under the name that the hub has for it', async () => {
    const hub = new HubServer();
    const commit = 'd'.repeat(40);
    const files = Object.fromEntries(pushed('me/subjects'));
    hub.repos.push({ id: 'models/me/subjects', refs: { main: commit }, commits: { [commit]: files } });
    const there = { ...env, HF_ENDPOINT: await hub.start(), HF_HOME: temporaryFolder() };
    try {
      const prompt = ['-p', '### Sentence:The boat ### Class:', '-n', '3', '--json'];
      const ask = (what: string) => westwind(['generate', what, ...prompt], { env: there });
      const [remote, local] = [await ask('me/subjects'), await ask(join(run, 'subjects/adapter'))];
      assert.equal(remote.code, 0, remote.stderr);
      assert.equal(remote.stdout, local.stdout);
      const out = join(temporaryFolder(), 'x.gguf');
      const exported = await westwind(['export', 'me/subjects', '-o', out], { env: there });
      assert.equal(exported.code, 0, exported.stderr);
    } finally {
      await hub.stop();
    }
  });

  it('names the base as the hub does', async () => {
    const { code, stderr } = await push([run, 'me/named', '--model', 'org/base']);
    assert.equal(code, 0, stderr);
    const files = pushed('me/named');
    const config = JSON.parse(files.get('adapter_config.json')!.toString()) as Record<string, unknown>;
    assert.equal(config['base_model_name_or_path'], 'org/base');
    assert.equal(metadataOf(files.get('README.md')!.toString()).base_model, 'org/base');
  });

  it('pushes a GGUF file, made or there, and a model', async () => {
    const made = await push([run, 'me/subjects-gguf', '--to', 'gguf', '--type', 'q8_0']);
    assert.equal(made.code, 0, made.stderr);
    const files = pushed('me/subjects-gguf');
    const path = join(temporaryFolder(), 'mine.gguf');
    writeFileSync(path, files.get('subjects-gguf-Q8_0.gguf')!);
    const file = GgufFile.open(path);
    file.close();
    assert.equal(metadataOf(files.get('README.md')!.toString()).library_name, 'gguf');
    assert.equal((await push([path, 'me/mine'])).code, 0);
    assert.deepEqual([...pushed('me/mine').keys()].sort(), ['.gitattributes', 'README.md', 'mine.gguf']);
    assert.equal(metadataOf(pushed('me/mine').get('README.md')!.toString()).license, 'apache-2.0');

    const folder = join(temporaryFolder(), 'model');
    cpSync(model, folder, { recursive: true });
    copyFileSync(join(run, 'subjects/predictions-tuned.jsonl'), join(folder, 'predictions-tuned.jsonl'));
    const whole = await push([folder, 'me/whole']);
    assert.equal(whole.code, 0, whole.stderr);
    assert.match(whole.stdout, /^left out: predictions-tuned\.jsonl\n/);
    assert.ok(!pushed('me/whole').has('predictions-tuned.jsonl'));
    // Its own card stays.
    assert.match(pushed('me/whole').get('README.md')!.toString(), /# Base/);
  });

  it('goes on where it was stopped', async () => {
    server.faults.push({ at: /commit/, times: 99, status: 429, headers: { 'Retry-After': '100' } });
    const running = start(['push', run, 'me/stopped'], { env });
    const until = Date.now() + 30_000;
    while (!server.sent.some(({ call }) => call.startsWith('PUT ')) && Date.now() < until)
      await new Promise((done) => setTimeout(done, 20));
    while (server.faults[0]!.times === 99 && Date.now() < until)
      await new Promise((done) => setTimeout(done, 20));
    running.signal('SIGINT');
    const { code, stdout } = await running.ended;
    assert.deepEqual([code, stdout], [130, 'stopped; push again to go on\n']);
    server.faults.length = 0;
    const uploads = server.uploads().length;
    assert.equal((await push([run, 'me/stopped'])).code, 0);
    assert.equal(server.uploads().length, uploads);
  });

  const several = (): string => {
    const folder = temporaryFolder();
    for (const name of ['one', 'two']) cpSync(run, join(folder, name), { recursive: true });
    return folder;
  };
  const secret = (): string => {
    const folder = join(temporaryFolder(), 'adapter');
    cpSync(join(run, 'subjects/adapter'), folder, { recursive: true });
    writeFileSync(join(folder, 'README.md'), `# Mine\n\nlogin with ${server.token}\n`);
    return folder;
  };
  for (const [what, args, message, more] of [
    [
      'a name without an owner',
      () => [run, 'subjects'],
      /"subjects" is no name of a repository: name it OWNER\/NAME/,
    ],
    [
      'no token',
      () => [run, 'me/x'],
      /no token for http.*: make one .* and put it in HF_TOKEN/,
      { HF_TOKEN: '' },
    ],
    ['no rights', () => [run, 'others/x'], /may not write to others\/x/],
    [
      'predictions',
      () => [join(run, 'subjects/predictions-tuned.jsonl'), 'me/x'],
      /may hold rows of a data set/,
    ],
    ['a token in a file', () => [secret(), 'me/x'], /README\.md has in line 3 what looks like a token/],
    ['a type without a format', () => [run, 'me/x', '--type', 'q8_0'], /--type goes with --to gguf/],
    ['another format', () => [run, 'me/x', '--to', 'onnx'], /--to onnx: gguf is known/],
    ['a folder of several runs', () => [several(), 'me/x'], /holds 2 runs: name one of .*one, .*two/],
    ['another task', () => [run, 'me/x', '--task', 'other'], /--task other: .* has subjects/],
    ['a folder without a model', () => [join(run, 'subjects'), 'me/x'], /holds no model and no adapter/],
  ] as const)
    it(`refuses ${what} in one line`, async () => {
      const before = server.sent.length;
      const { code, stderr, stdout } = await push(args(), more ?? {});
      assert.equal(code, 2, stderr + stdout);
      assert.match(stderr.trimEnd().split('\n').at(-1)!, message);
      if (what !== 'no rights') assert.equal(server.sent.length, before);
      assert.ok(!server.repos.has('me/x'));
    });
});
