/** Files to a hub on loopback that fails in every way: what arrives, what is sent a second time, what a person reads. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { checkRepoName, checkSecrets, filesToPush, ggufToPush, pushFiles } from '../../src/files/index.js';
import type { FileToPush } from '../../src/files/index.js';
import { UserError } from '../../src/util/errors.js';
import { secretIn } from '../../src/util/secrets.js';
import { PART, PushServer, type Fault } from './push-server.js';

const ENVIRONMENT = [
  ...['HF_ENDPOINT', 'HF_HOME', 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_TOKEN_PATH'],
  'HF_HUB_OFFLINE',
];
const outside = new Map(ENVIRONMENT.map((name) => [name, process.env[name]]));

const small = Buffer.from('---\nlicense: mit\n---\n');
const weights = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 31) & 255));
const large = Buffer.from(Array.from({ length: 3 * PART + 17 }, (_, i) => (i * 7 + (i >> 8)) & 255));

let folder: string;
let server: PushServer;
let files: FileToPush[];

before(() => {
  for (const name of ENVIRONMENT) Reflect.deleteProperty(process.env, name);
});
after(() => {
  for (const [name, value] of outside)
    if (value !== undefined) process.env[name] = value;
    else Reflect.deleteProperty(process.env, name);
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'westwind-push-test-'));
  writeFileSync(join(folder, 'one.safetensors'), weights);
  writeFileSync(join(folder, 'real'), large);
  // As in a snapshot of the hub's cache.
  symlinkSync('real', join(folder, 'two.safetensors'));
  files = [
    { path: 'README.md', content: small },
    { path: 'one.safetensors', content: join(folder, 'one.safetensors') },
    { path: 'two.safetensors', content: join(folder, 'two.safetensors') },
  ];
  server = new PushServer();
  process.env['HF_ENDPOINT'] = await server.start();
  process.env['HF_HOME'] = folder;
  process.env['HF_TOKEN'] = server.token;
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

const push = (more: Partial<Parameters<typeof pushFiles>[2]> = {}, name = 'me/model') =>
  pushFiles(name, files, { title: 'Push', retryDelay: 1, ...more });

async function fails(work: Promise<unknown>, what: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    assert.match(error.message, what);
    assert.ok(!error.message.includes('\n'));
    assert.ok(!error.message.includes(server.token), error.message);
    return true;
  });
}

function arrived(branch = 'main', name = 'me/model'): void {
  const there = server.repos.get(name)!.branches.get(branch)!;
  assert.deepEqual(there.get('README.md'), small);
  assert.deepEqual(there.get('one.safetensors'), weights);
  assert.deepEqual(there.get('two.safetensors'), large);
}

const fault = (one: Fault): void => void server.faults.push(one);

describe('pushFiles', () => {
  it('makes the repository, sends small and large files, whole and in parts, and is told how far it is', async () => {
    const told: number[] = [];
    const { url, sent } = await push({ onProgress: (done) => told.push(done) });
    assert.equal(url, `${process.env['HF_ENDPOINT']!}/me/model`);
    assert.deepEqual(sent, ['README.md', 'one.safetensors', 'two.safetensors']);
    arrived();
    assert.equal(server.repos.get('me/model')!.isPrivate, false);
    assert.equal(server.repos.get('me/model')!.commits[0]!.summary, 'Push');
    // One whole, the other in four parts; the store never sees the token.
    assert.equal(server.uploads().length, 5);
    for (const one of server.sent)
      assert.equal(one.authorization, one.origin === 'hub' ? `Bearer ${server.token}` : undefined, one.call);
    assert.equal(told.at(-1), weights.length + large.length);
  });

  it('sends nothing a second time, and of what has changed that alone', async () => {
    await push();
    const before = server.uploads().length;
    assert.deepEqual((await push()).sent, []);
    assert.equal(server.uploads().length, before);
    assert.equal(server.repos.get('me/model')!.commits.length, 1);
    files[0] = { path: 'README.md', content: Buffer.from('another') };
    assert.deepEqual((await push()).sent, ['README.md']);
    assert.equal(server.uploads().length, before);
  });

  it('makes a branch, a private repository, and keeps to one that is there', async () => {
    const { url } = await push({ revision: 'v1', private: true });
    assert.match(url, /\/me\/model\/tree\/v1$/);
    arrived('v1');
    assert.equal(server.repos.get('me/model')!.isPrivate, true);
    assert.equal(server.repos.get('me/model')!.branches.get('main')!.has('README.md'), false);
    await push({ revision: 'v1', private: true });
    // Of the store's, nothing is sent again for another branch.
    const before = server.uploads().length;
    await push();
    arrived();
    assert.equal(server.uploads().length, before);
    server.make('me/open');
    await fails(push({ private: true }, 'me/open'), /is there already and public: make it private/);
    assert.equal(server.repos.get('me/open')!.commits.length, 0);
  });

  for (const [what, at] of [
    ['a whole file', /^PUT \/store\/\w{64}$/],
    ['a part', /^PUT \/store\/[\w-]{36}\/3$/],
    ['the batch', /info\/lfs\/objects\/batch/],
    ['the commit', /\/commit\/main/],
    ['the making of the repository', /repos\/create/],
  ] as const)
    for (const [how, one] of [
      ['broken off', {}],
      ['answered 503', { status: 503 }],
      ['asked to wait', { status: 429, headers: { 'Retry-After': '0' } }],
    ] as const) {
      it(`${what} ${how} twice is sent again`, async () => {
        fault({ at, times: 2, ...one });
        await push();
        arrived();
      });
      it(`${what} ${how} for good ends it, and the next push goes on`, async () => {
        fault({ at, times: 99, ...one });
        await fails(push(), /push again (later )?to go on/);
        const stored = new Set(server.store.keys());
        const before = server.uploads().length;
        server.faults.length = 0;
        await push();
        arrived();
        // What was there whole is not sent again.
        const again = server.uploads().slice(before);
        for (const { call } of again) assert.ok(![...stored].some((oid) => call.endsWith(oid)), call);
        if (what === 'the commit') assert.equal(again.length, 0);
      });
    }

  it('waits as long as it is asked to, and not for ever', async () => {
    fault({ at: /commit/, times: 1, status: 429, headers: { 'Retry-After': '1' } });
    const start = performance.now();
    await push();
    assert.ok(performance.now() - start > 950);
    fault({ at: /paths-info/, times: 1, status: 429, headers: { 'Retry-After': '86400' } });
    await fails(push(), /takes no more for now: push again later/);
  });

  it('says what is wrong with a token, rights, a name', async () => {
    process.env['HF_TOKEN'] = 'hf_wrongwrongwrongwrong';
    await fails(
      push(),
      /does not know the token in HF_TOKEN: make one with the right to write at .*settings/,
    );
    Reflect.deleteProperty(process.env, 'HF_TOKEN');
    await fails(push(), /^no token for .*: make one with the right to write at .* and put it in HF_TOKEN$/);
    process.env['HF_HUB_OFFLINE'] = '1';
    await fails(push(), /HF_HUB_OFFLINE forbids pushing/);
    Reflect.deleteProperty(process.env, 'HF_HUB_OFFLINE');
    process.env['HF_TOKEN'] = 'two words';
    await fails(push(), /the token for the hub .* copy it anew/);
    process.env['HF_TOKEN'] = server.token;
    await fails(push({}, 'others/model'), /may not write to others\/model: give it that right/);
    server.make('others/there');
    await fails(push({}, 'others/there'), /may not write to others\/there/);
  });

  it('pushes to a repository that is there with a token that may make none', async () => {
    server.make('me/model');
    fault({ at: /repos\/create/, times: 1, status: 403 });
    await push();
    arrived();
  });

  it('takes nothing for a hub that is none, and what one refuses as it says it', async () => {
    fault({ at: /paths-info/, times: 1, status: 200, body: '<html>Please log in</html>' });
    await fails(push(), /does not answer like a hub/);
    const error = 'Invalid metadata in README.md';
    fault({ at: /commit/, times: 1, status: 400, body: { error } });
    await fails(push(), /does not take it \(400\): Invalid metadata in README\.md/);
    // A place in the store that was given for an hour.
    server.store.clear();
    fault({ at: /^PUT/, times: 99, status: 403, body: '<Error><Code>AccessDenied</Code></Error>' });
    await fails(push(), /the store of .* does not take a file \(403\): push again to go on/);
    const port = new URL(process.env['HF_ENDPOINT']!).port;
    await server.stop();
    await fails(push(), new RegExp(`cannot reach http://127.0.0.1:${port} for me/model`));
    await server.start();
  });

  it('ends at once where its signal is aborted', async () => {
    const stop = new AbortController();
    fault({ at: /^PUT/, times: 99, status: 429, headers: { 'Retry-After': '100' } });
    const work = push({ signal: stop.signal });
    setTimeout(() => stop.abort(), 200);
    await assert.rejects(work, { name: 'AbortError' });
    server.faults.length = 0;
    await push();
    arrived();
  });
});

describe('names', () => {
  for (const name of ['model', 'a/b/c', '/b', 'a/', 'a/..', 'a/b c', '-a/b', 'a/b--c', 'a/x.git', 'a/ü'])
    it(`'${name}' is none`, () => {
      assert.throws(() => checkRepoName(name), { name: 'UserError', message: /name it OWNER\/NAME/ });
    });
  it('of letters, digits, dots, dashes and underscores are', () => {
    for (const name of ['me/model', 'My-Org/Llama-3.1-8B_v2']) checkRepoName(name);
  });
});

describe('what leaves', () => {
  it('is a model’s files, and never rows of data', () => {
    for (const name of [
      ...[
        'adapter_config.json',
        'adapter_model.safetensors',
        'tokenizer.json',
        'chat_template.jinja',
        'LICENSE',
      ],
      ...['train.csv', 'predictions-tuned.jsonl', 'tokenizer-rows.jsonl', 'test.parquet', 'inspected.json'],
      ...['train.jsonl', 'result.json', 'config.yaml', 'optimizer.bin', '.env'],
    ])
      writeFileSync(join(folder, name), '{}');
    const { files: leaving, rest } = filesToPush(folder);
    assert.deepEqual(
      leaving.map(({ path }) => path),
      [
        'LICENSE',
        'adapter_config.json',
        'adapter_model.safetensors',
        'chat_template.jinja',
        'tokenizer.json',
      ],
    );
    for (const name of ['train.csv', 'predictions-tuned.jsonl', 'tokenizer-rows.jsonl', '.env'])
      assert.ok(rest.includes(name), name);
    assert.throws(() => ggufToPush('runs/x/predictions-tuned.jsonl'), /may hold rows of a data set/);
    assert.throws(() => ggufToPush('notes.md'), /is not pushed by itself: name a run's folder/);
  });

  it('has nothing in it that looks like a secret', () => {
    const found = (text: string): string | undefined => secretIn(text)?.what;
    assert.equal(found(`{"a": "${server.token}"}`), 'a token of Hugging Face');
    assert.equal(found('wandb: {api_key: "0123456789abcdef"}'), 'a key or a password');
    assert.equal(found('"password": "correcthorse"'), 'a key or a password');
    assert.equal(found('https://me:secret@host/x'), 'a password in an address');
    assert.equal(found('-----BEGIN OPENSSH PRIVATE KEY-----'), 'a private key');
    assert.equal(found('AKIAIOSFODNN7EXAMPLE'), 'a key of AWS');
    for (const text of [
      '"bos_token": "<s>", "unk_token": "<unk>"',
      '{"password": 4711}',
      'pip install hf_transfer',
    ])
      assert.equal(found(text), undefined, text);
    const path = join(folder, 'adapter_config.json');
    writeFileSync(path, `{\n"note": "${server.token}"}`);
    assert.throws(
      () => checkSecrets([{ path: 'adapter_config.json', content: path }]),
      /adapter_config\.json has in line 2 what looks like a token of Hugging Face: nothing is pushed/,
    );
  });

  it('finds a token wherever it stands', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string({ unit: fc.constantFrom('a', 'B', '3', 'x', 'Z', '9'), minLength: 20 }),
        fc.string(),
        (a, b, c) => {
          assert.ok(secretIn(`${a} hf_${b} ${c}`));
        },
      ),
    );
  });
});
