/** Models and data sets by name, against a hub on loopback: the cache's layout, resuming, offline use, tokens, refusals. */
import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { resolveDataset } from '../../src/files/index.js';
import { resolveModel } from '../../src/import/resolve.js';
import { UserError } from '../../src/util/errors.js';
import { HubServer, gitHash, sha256 } from './hub-server.js';

const ENVIRONMENT = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_TOKEN',
  'HF_TOKEN_PATH',
];
const outside = new Map(
  [...ENVIRONMENT, 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE'].map((n) => [n, process.env[n]]),
);

const MAIN = 'a'.repeat(40);
const OLD = 'b'.repeat(40);
const weights = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 31) & 255));
const config = Buffer.from('{"model_type":"llama"}');
const files = {
  '.gitattributes': Buffer.from('x'),
  'config.json': config,
  'model.safetensors': weights,
  'consolidated.safetensors': weights,
  'modeling_evil.py': Buffer.from('boom()'),
  'onnx/model.safetensors': weights,
  'pytorch_model.bin': weights,
  'tokenizer.json': Buffer.from('{}'),
};

let home: string;
let server: HubServer;
const cache = (): string => join(home, 'hub');
const quick = { retryDelay: 1 };

async function fails(work: Promise<unknown>, what: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, what);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
}

before(() => {
  for (const name of outside.keys()) Reflect.deleteProperty(process.env, name);
});
after(() => {
  for (const [name, value] of outside) {
    if (value !== undefined) process.env[name] = value;
    else Reflect.deleteProperty(process.env, name);
  }
});
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'westwind-'));
  server = new HubServer();
  server.repos.push({
    id: 'models/org/tiny',
    refs: { main: MAIN, 'refs/pr/1': OLD },
    commits: { [MAIN]: files, [OLD]: { ...files, 'config.json': Buffer.from('{}') } },
  });
  process.env['HF_ENDPOINT'] = await server.start();
  process.env['HF_HOME'] = home;
});
afterEach(async () => {
  await server.stop();
  rmSync(home, { recursive: true });
  for (const name of ['HF_TOKEN', 'HF_HUB_OFFLINE', 'HF_HUB_CACHE'])
    Reflect.deleteProperty(process.env, name);
});

describe('resolveModel', () => {
  it('uses a folder as it is, and no file', async () => {
    assert.equal(await resolveModel(home), home);
    writeFileSync(join(home, 'x.safetensors'), '');
    await fails(resolveModel(join(home, 'x.safetensors')), /is a file/);
    assert.equal(server.asked.length, 0);
  });

  it('fetches what it can use into the layout of the Python library', async () => {
    const seen: [string, number, number][] = [];
    const folder = await resolveModel('org/tiny', { onProgress: (...args) => seen.push(args) });
    const repo = join(cache(), 'models--org--tiny');
    assert.equal(folder, join(repo, 'snapshots', MAIN));
    assert.deepEqual(readdirSync(folder).sort(), ['config.json', 'model.safetensors', 'tokenizer.json']);
    assert.ok(readFileSync(join(folder, 'model.safetensors')).equals(weights));
    assert.equal(readFileSync(join(repo, 'refs/main'), 'utf8'), MAIN);
    const link = join(folder, 'model.safetensors');
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.equal(readlinkSync(link), `../../blobs/${sha256(weights)}`);
    assert.equal(readlinkSync(join(folder, 'config.json')), `../../blobs/${gitHash(config)}`);
    assert.equal(readdirSync(join(repo, 'blobs')).length, 3, 'no lock and no part is left');
    assert.deepEqual(seen.at(-2), ['model.safetensors', 50_000, 50_000]);
  });

  it('fetches nothing twice', async () => {
    await resolveModel('org/tiny');
    const count = server.downloads().length;
    assert.equal(await resolveModel('org/tiny'), join(cache(), 'models--org--tiny/snapshots', MAIN));
    // Another revision shares the files that are the same.
    const folder = await resolveModel('org/tiny', { revision: 'refs/pr/1' });
    assert.equal(folder, join(cache(), 'models--org--tiny/snapshots', OLD));
    assert.equal(readFileSync(join(folder, 'config.json'), 'utf8'), '{}');
    assert.equal(readFileSync(join(cache(), 'models--org--tiny/refs/refs/pr/1'), 'utf8'), OLD);
    assert.equal(
      server.downloads().length,
      count + 0,
      'tokenizer.json has the same content as the new config.json',
    );
    await resolveModel('org/tiny', { revision: OLD });
  });

  it('needs no network once it is there', async () => {
    const folder = await resolveModel('org/tiny');
    process.env['HF_HUB_OFFLINE'] = '1';
    server.asked.length = 0;
    assert.equal(await resolveModel('org/tiny'), folder);
    assert.equal(await resolveModel('org/tiny', { revision: MAIN }), folder);
    assert.equal(server.asked.length, 0);
    await fails(resolveModel('org/tiny', { revision: 'v2' }), /\(v2\) is not in .* HF_HUB_OFFLINE/);
    await fails(resolveModel('org/none'), /'org\/none' \(main\) is not in .* HF_HUB_OFFLINE/);

    process.env['HF_HUB_OFFLINE'] = '0';
    process.env['HF_ENDPOINT'] = 'http://127.0.0.1:9';
    assert.equal(await resolveModel('org/tiny'), folder);
    await fails(resolveModel('org/none'), /is not in .* cannot reach http:\/\/127\.0\.0\.1:9/);

    process.env['HF_ENDPOINT'] = 'here';
    await fails(resolveModel('org/tiny'), /HF_ENDPOINT is 'here'/);

    process.env['HF_HUB_OFFLINE'] = '1';
    rmSync(join(folder, 'model.safetensors'));
    await fails(
      resolveModel('org/tiny'),
      /is not whole .* its \.safetensors missing; run once with the network/,
    );
  });

  it('goes on where a connection broke, within a run', async () => {
    server.cutAfter = 20_000;
    server.cuts = 2;
    const folder = await resolveModel('org/tiny', quick);
    assert.ok(readFileSync(join(folder, 'model.safetensors')).equals(weights));
    const ranges = server
      .downloads()
      .filter(({ origin }) => origin === 'cdn')
      .map(({ range }) => range);
    assert.deepEqual(ranges, [undefined, 'bytes=20000-', 'bytes=40000-']);
  });

  it('goes on where a connection broke, in a later run', async () => {
    const blobs = join(cache(), 'models--org--tiny/blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${sha256(weights)}.incomplete`), weights.subarray(0, 30_000));
    server.cutAfter = 0;
    server.cuts = 5;
    await fails(resolveModel('org/tiny', quick), /config\.json: 0 of 22 bytes are there.*run again to go on/);
    server.cuts = 0;
    const folder = await resolveModel('org/tiny', quick);
    assert.ok(readFileSync(join(folder, 'model.safetensors')).equals(weights));
    assert.equal(server.downloads().at(-2)!.range, 'bytes=30000-');
    assert.ok(!existsSync(join(blobs, `${sha256(weights)}.incomplete`)));
  });

  it('refuses what arrives damaged, and fetches it anew', async () => {
    server.corrupt = true;
    await fails(resolveModel('org/tiny', quick), /config\.json of org\/tiny arrived damaged/);
    server.corrupt = false;
    await resolveModel('org/tiny', quick);
  });

  it('takes over from a process that died while fetching', async () => {
    const blobs = join(cache(), 'models--org--tiny/blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${sha256(weights)}.lock`), String(2 ** 30));
    await resolveModel('org/tiny');
  });

  it('serves two at once with one download', async () => {
    const [a, b] = await Promise.all([resolveModel('org/tiny'), resolveModel('org/tiny')]);
    assert.equal(a, b);
    assert.equal(server.downloads().filter(({ origin }) => origin === 'cdn').length, 1);
  });

  it('sends the token to the hub alone', async () => {
    server.repos.push({
      id: 'models/org/secret',
      refs: { main: MAIN },
      commits: { [MAIN]: files },
      token: 'hf_secret',
    });
    await fails(resolveModel('org/secret'), /private or gated: put a read token in HF_TOKEN/);
    process.env['HF_TOKEN'] = 'hf_wrong';
    await fails(resolveModel('org/secret'), /the token in HF_TOKEN does not open it/);
    delete process.env['HF_TOKEN'];
    writeFileSync(join(home, 'token'), 'hf_secret\n');
    server.asked.length = 0;
    await resolveModel('org/secret');
    assert.ok(server.asked.some(({ origin }) => origin === 'cdn'));
    for (const { origin, authorization } of server.asked) {
      assert.equal(authorization, origin === 'hub' ? 'Bearer hf_secret' : undefined);
    }
    await resolveModel('org/secret', { token: 'hf_secret', cacheDir: join(home, 'elsewhere') });
    assert.ok(existsSync(join(home, 'elsewhere/models--org--secret')));
  });

  it('takes the cache where something else answers in the place of the hub', async () => {
    const folder = await resolveModel('org/tiny');
    server.portal = true;
    assert.equal(await resolveModel('org/tiny'), folder);
    await fails(resolveModel('org/none'), /is not in .* does not answer like a hub/);
  });

  it('says plainly what the hub refuses', async () => {
    server.repos.push({ id: 'models/org/gated', refs: {}, commits: {}, token: 'hf_x', gated: true });
    const pickles = { 'config.json': config, 'pytorch_model.bin': weights };
    server.repos.push({ id: 'models/org/pickles', refs: { main: MAIN }, commits: { [MAIN]: pickles } });
    await fails(resolveModel('org/none'), /model 'org\/none' is not on .* under that name/);
    await fails(
      resolveModel('org/gated'),
      /is gated or private: ask for access on http.*\/org\/gated and put .*HF_TOKEN/,
    );
    await fails(resolveModel('org/tiny', { revision: 'v9' }), /has no revision 'v9'/);
    await fails(resolveModel('org/pickles'), /only as pickles/);
    await fails(resolveModel('./no/such/folder'), /neither a folder here nor a name on the hub/);
    await fails(resolveModel('org/tiny', { revision: '../../x' }), /cannot be a revision/);
  });

  it('writes nothing outside its cache, whatever the hub lists', async () => {
    for (const path of [
      '../evil.json',
      '/tmp/evil.json',
      'a/../../evil.json',
      'a\\..\\evil.json',
      'C:evil.json',
    ]) {
      server.repos.length = 0;
      server.repos.push({
        id: 'models/org/evil',
        refs: { main: MAIN },
        commits: { [MAIN]: { [path]: config } },
      });
      await fails(resolveModel('org/evil', { files: ['*', '*/*'] }), /unsafe name/);
    }
  });

  it('fetches other files on demand', async () => {
    const folder = await resolveModel('org/tiny', { files: ['*.json', 'onnx/*'] });
    assert.deepEqual(readdirSync(folder).sort(), ['config.json', 'onnx', 'tokenizer.json']);
  });
});

describe('resolveDataset', () => {
  const part = (i: number): Buffer => Buffer.from(`part ${i}`);

  beforeEach(() => {
    server.repos.push({
      id: 'datasets/org/news',
      refs: { 'refs/convert/parquet': MAIN, main: OLD },
      commits: {
        [MAIN]: {
          'default/train/0000.parquet': part(0),
          'default/train/0001.parquet': part(1),
          'default/partial-test/0000.parquet': part(2),
          'small/train/0000.parquet': part(3),
        },
        [OLD]: {
          'README.md': Buffer.from('hi'),
          'data/train-00000-of-00002-9f3a.parquet': part(4),
          'data/train-00001-of-00002-9f3a.parquet': part(5),
          'data/validation.parquet': part(6),
        },
      },
    });
  });

  it('gives the Parquet files of each split, again offline', async () => {
    const folder = join(cache(), 'datasets--org--news/snapshots', MAIN);
    const expected = {
      train: ['0000', '0001'].map((n) => join(folder, `default/train/${n}.parquet`)),
      test: [join(folder, 'default/partial-test/0000.parquet')],
    };
    assert.deepEqual(await resolveDataset('org/news'), expected);
    assert.equal(readFileSync(expected.train[1]!, 'utf8'), 'part 1');
    assert.deepEqual(await resolveDataset('org/news', { offline: true }), expected);
  });

  it('fetches only the configuration and split asked for', async () => {
    const splits = await resolveDataset('org/news', { config: 'small', split: 'train' });
    assert.deepEqual(Object.keys(splits), ['train']);
    assert.equal(server.downloads().length, 1);
    await fails(resolveDataset('org/news', { config: 'big' }), /no config 'big'; there are: default, small/);
    await fails(resolveDataset('org/news', { split: 'dev' }), /no split 'dev'; there are: test, train/);
    await fails(resolveDataset('org/gone'), /data set 'org\/gone' is not on/);
  });

  it("reads people's own layout on a branch", async () => {
    const splits = await resolveDataset('org/news', { revision: 'main' });
    assert.deepEqual(Object.keys(splits).sort(), ['train', 'validation']);
    assert.deepEqual(
      splits['train']!.map((path) => readFileSync(path, 'utf8')),
      ['part 4', 'part 5'],
    );
  });
});
