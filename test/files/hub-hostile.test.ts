/** A hub that misbehaves: it answers nothing, without end, in circles or drop by drop. Every call ends, in a file or in one line. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { resolveModel } from '../../src/import/resolve.js';
import { messageOf, UserError } from '../../src/util/errors.js';
import { masked } from '../../src/util/secrets.js';
import { gitHash } from './hub-server.js';

const COMMIT = 'c'.repeat(40);
const NAMES = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_TOKEN',
  'HF_HUB_OFFLINE',
  'HF_HUB_CACHE',
  'HUGGING_FACE_HUB_TOKEN',
];
const outside = new Map(NAMES.map((name) => [name, process.env[name]]));

type Answer = (req: IncomingMessage, res: ServerResponse) => void;
const content: Readonly<Record<string, Buffer>> = {
  'config.json': Buffer.from('{"model_type":"llama"}'),
  'model.safetensors': Buffer.from(Array.from({ length: 9000 }, (_, i) => (i * 7) & 255)),
};

let home: string;
let server: Server;
let timers: NodeJS.Timeout[] = [];
/** What answers a commit, a list of files, a file; the good ones where absent. */
let modes: { info?: Answer; tree?: Answer; file?: Answer } = {};

const json = (value: unknown, headers: Record<string, string> = {}): Answer => {
  return (_, res) =>
    void res.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
};
const entry = (path: string, change: Record<string, unknown> = {}): Record<string, unknown> => {
  const bytes = content[path] ?? Buffer.from('x');
  return { type: 'file', path, size: bytes.length, oid: gitHash(bytes), ...change };
};
const good: Required<typeof modes> = {
  info: json({ _id: 'x', id: 'org/tiny', sha: COMMIT }),
  tree: (req, res) => json(Object.keys(content).map((path) => entry(path)))(req, res),
  file: (req, res) => void res.writeHead(200).end(content[req.url!.split('/').at(-1)!]),
};

before(async () => {
  for (const name of NAMES) Reflect.deleteProperty(process.env, name);
  server = createServer((req, res) => {
    const url = req.url!;
    // A connection that a test breaks is nobody else's.
    res.setHeader('Connection', 'close');
    const kind = url.includes('/resolve/') ? 'file' : url.includes('/tree/') ? 'tree' : 'info';
    (modes[kind] ?? good[kind])(req, res);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  process.env['HF_ENDPOINT'] = origin();
});
after(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  for (const [name, value] of outside) {
    if (value === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = value;
  }
});
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'westwind-'));
  process.env['HF_HOME'] = home;
  modes = {};
});

const origin = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const resolve = (options: Parameters<typeof resolveModel>[1] = {}): Promise<string> =>
  resolveModel('org/tiny', { retryDelay: 1, ...options });

async function ends(work: () => Promise<unknown>, what: RegExp, name = ''): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, `${name}: ${error instanceof Error ? error.stack : String(error)}`);
    assert.match(error.message, what, name);
    assert.ok(!error.message.includes('\n'), name);
    return true;
  });
  server.closeAllConnections();
  timers.forEach(clearInterval);
  timers = [];
}

/** Nothing at all. */
const silent: Answer = () => undefined;
/** Headers, and then nothing. */
const mute: Answer = (_, res) => {
  res.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders();
};
const drip: Answer = (_, res) => {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  timers.push(setInterval(() => res.write(' '), 100));
};
const endless: Answer = (_, res) => {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  const piece = Buffer.alloc(1 << 20, '[');
  const more = (): void => {
    while (!res.destroyed && res.write(piece));
  };
  res.on('drain', more);
  more();
};
const broken: Answer = (_, res) => {
  res.writeHead(200, { 'Content-Length': 1000 }).write('[');
  setTimeout(() => res.destroy(), 5);
};
const status = (code: number): Answer => {
  return (_, res) => void res.writeHead(code).end();
};

test('an answer that is none, has no end or does not come is left, and the cache used', async () => {
  let page = 0;
  const trees: Record<string, Answer> = {
    'a link to itself': (req, res) => {
      json([entry('config.json')], { Link: `<${origin()}${req.url}>; rel="next"` })(req, res);
    },
    'a circle': (req, res) => {
      const there = req.url!.includes('cursor=a') ? 'b' : 'a';
      json([], { Link: `<${origin()}/api/models/org/tiny/tree/${COMMIT}?cursor=${there}>; rel="next"` })(
        req,
        res,
      );
    },
    'pages without end': (req, res) => {
      json([], { Link: `<${origin()}/api/models/org/tiny/tree/${COMMIT}?cursor=${page++}>; rel="next"` })(
        req,
        res,
      );
    },
    'no list': json({ error: 'no' }),
    nulls: json([null, 1]),
  };
  const answers = {
    silent,
    mute,
    drip,
    endless,
    broken,
    'no content': status(204),
    unavailable: status(503),
  };
  const cases: [string, typeof modes][] = [
    ...Object.entries(answers).flatMap(([name, answer]): [string, typeof modes][] => [
      [`info: ${name}`, { info: answer }],
      [`tree: ${name}`, { tree: answer }],
    ]),
    ...Object.entries(trees).map(([name, tree]): [string, typeof modes] => [name, { tree }]),
  ];
  for (const [name, mode] of cases) {
    modes = mode;
    await ends(() => resolve({ patience: 150 }), /'org\/tiny' \(main\) is not in .*/, name);
  }
  modes = {};
  const folder = await resolve();
  for (const [name, mode] of cases.filter(([of]) => !of.includes('without end'))) {
    modes = mode;
    assert.equal(await resolve({ patience: 150 }), folder, name);
  }
});

test('a connection that is closed before it answers is asked for again, once', async () => {
  let closed = 0;
  const closing: Answer = (req, res) => {
    if (closed++ === 0) req.socket.destroy();
    else json([entry('config.json')])(req, res);
  };
  modes = { tree: closing };
  await resolve({ files: ['config.json'] });
  assert.ok(closed >= 2);
  modes = { tree: (req) => void req.socket.destroy() };
  await ends(() => resolve({ revision: 'other' }), /cannot reach .*other side closed/);
});

test('a download that stands still, drips, ends or never begins is given up in a line', async () => {
  // The answers before it must come within the time, on a busy machine, too.
  const patience = 800;
  const files: Record<string, Answer> = {
    mute,
    drip,
    broken,
    'no content': status(204),
    nothing: status(200),
  };
  for (const [name, file] of Object.entries(files)) {
    modes = { file };
    await ends(
      () => resolve({ patience }),
      /config\.json: \d+ of 22 bytes are there, then the connection failed.*run again/,
      name,
    );
  }
  modes = { file: endless };
  await ends(() => resolve(), /config\.json: the hub sends more than the 22 bytes it listed/);
  modes = {};
  const folder = await resolve();
  assert.deepEqual(readFileSync(join(folder, 'model.safetensors')), content['model.safetensors']);
});

test('names and sizes that the hub lists are checked before anything is written', async () => {
  const long = 'x'.repeat(5000);
  for (const [path, change] of [
    [`${long}.json`, {}],
    [`tokenizer/${'a/'.repeat(2000)}x.json`, {}],
    ['tokenizer\n.json', {}],
    ['../tokenizer.json', {}],
    ['tokenizer.json', { size: -1 }],
    ['tokenizer.json', { size: 1e300 }],
    ['tokenizer.json', { size: 'many' }],
    ['tokenizer.json', { oid: '../../x' }],
  ] as const) {
    modes = { tree: json([entry('config.json'), entry(path, change)]) };
    await ends(() => resolve({ files: ['**'] }), /the hub lists .{1,130}$/, path.slice(0, 40));
  }
  assert.ok(!existsSync(join(home, 'hub', 'models--org--tiny', 'blobs')));
  await ends(() => resolveModel(`org/${long}`), /'org\/x{70,80}\.\.\.' is neither a folder here nor a name/);
  await ends(() => resolve({ revision: long }), /cannot be a revision/);
});

test('a revision that is a folder of others is none', async () => {
  await resolve({ revision: 'refs/pr/1' });
  await ends(() => resolve({ revision: 'refs/pr', offline: true }), /'org\/tiny' \(refs\/pr\) is not in/);
  await ends(() => resolve({ revision: 'refs/pr' }), /a folder of that name is in the way/);
  const ref = join(home, 'hub', 'models--org--tiny', 'refs', 'main');
  mkdirSync(dirname(ref), { recursive: true });
  for (const text of ['', '../../..', 'x'.repeat(100_000)]) {
    writeFileSync(ref, text);
    await ends(() => resolve({ offline: true }), /\(main\) is not in/);
  }
});

test('only the shards that the index names are fetched, and none beside model.safetensors', async () => {
  const shard = (n: number): Buffer => Buffer.from(`shard ${n}`);
  const index = Buffer.from(
    JSON.stringify({ weight_map: { a: 'part-a.safetensors', b: 'model-00002-of-00002.safetensors' } }),
  );
  const files: Record<string, Buffer> = {
    'config.json': content['config.json']!,
    'model.safetensors.index.json': index,
    'part-a.safetensors': shard(1),
    'model-00002-of-00002.safetensors': shard(2),
    'model-00009-of-00009.safetensors': shard(9),
    'consolidated.safetensors': shard(0),
  };
  const asked: string[] = [];
  const serve = (kept: readonly string[]): typeof modes => ({
    tree: json(kept.map((path) => entry(path, { size: files[path]!.length, oid: gitHash(files[path]!) }))),
    file: (req, res) => {
      const name = req.url!.split('/').at(-1)!;
      asked.push(name);
      res.end(files[name]);
    },
  });
  modes = serve(Object.keys(files));
  await resolve();
  const wanted = [
    'config.json',
    'model-00002-of-00002.safetensors',
    'model.safetensors.index.json',
    'part-a.safetensors',
  ];
  assert.deepEqual([...new Set(asked)].sort(), wanted);
  assert.equal(await resolve({ offline: true }), await resolve());
  modes = serve(Object.keys(files).filter((name) => name !== 'part-a.safetensors'));
  rmSync(join(home, 'hub'), { recursive: true });
  await ends(() => resolve(), /is not whole in .*: part-a\.safetensors missing/);
  files['model.safetensors'] = content['model.safetensors']!;
  modes = serve(Object.keys(files));
  rmSync(join(home, 'hub'), { recursive: true });
  asked.length = 0;
  await resolve();
  assert.deepEqual([...new Set(asked)].sort(), ['config.json', 'model.safetensors']);
});

test('a repository in another format is refused before anything of it is fetched', async () => {
  for (const [names, what] of [
    [['config.json', 'tiny-Q4_K_M.gguf'], /^org\/tiny has its weights only as GGUF/],
    [['config.json', 'pytorch_model-00001-of-00002.bin', 'pytorch_model.bin.index.json'], /only as pickles/],
    [['config.json', 'onnx/model.onnx'], /only as ONNX/],
    [['config.json', 'weights.npz'], /MLX/],
  ] as const) {
    modes = { tree: json(names.map((path) => entry(path))), file: status(500) };
    await ends(() => resolve(), what);
  }
});

test('secrets are in no message', async () => {
  for (const token of ['hf_sec\nret', 'hf_secret with words', 'hf_sécret', 'hf_secret\u0007']) {
    process.env['HF_TOKEN'] = token;
    for (const work of [() => resolve(), () => resolve({ token })]) {
      const message = await messageFrom(work);
      assert.match(message, /token for the hub .* copy it anew/);
      assert.ok(
        !/sec|ret|sécret/.test(message.replace('secret', 'sec')) && !message.includes('hf_'),
        message,
      );
    }
  }
  process.env['HF_TOKEN'] = '';
  for (const endpoint of [
    'http://me:pa55word@127.0.0.1:9',
    'http://me:pa55word@127.0.0.1:99999',
    'http://me:pa/55word@[',
    'ftp://me:pa55word@host',
  ]) {
    process.env['HF_ENDPOINT'] = endpoint;
    const message = await messageFrom(() => resolve());
    assert.match(message, /HF_ENDPOINT is '\w+:\/\/\*\*\*@/);
    assert.ok(!/55word/.test(message), message);
  }
  process.env['HF_ENDPOINT'] = origin();
  assert.equal(
    masked('a hf_abcDEF123 b Bearer xyz and s3cret at https://u:p@h/x?y', 's3cret'),
    'a *** b Bearer *** and *** at https://***@h/x?y',
  );
});

async function messageFrom(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return messageOf(error);
  }
  return assert.fail('it did not fail');
}

test('a signal ends a download, which goes on from there the next time', async () => {
  const ended = { name: 'AbortError', cause: new Error('enough') };
  const stop = new AbortController();
  modes = {
    file: (_, res) => {
      res.writeHead(200).write(content['config.json']!.subarray(0, 5));
      setTimeout(() => stop.abort(new Error('enough')), 20);
    },
  };
  await assert.rejects(resolve({ signal: stop.signal }), ended);
  modes = { info: silent };
  const again = new AbortController();
  setTimeout(() => again.abort(new Error('enough')), 20);
  await assert.rejects(resolve({ signal: again.signal }), ended);
  await assert.rejects(resolve({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  modes = {};
  await resolve();
});
