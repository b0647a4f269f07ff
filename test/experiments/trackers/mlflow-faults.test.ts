/** What a server, an address or a receipt can do wrong: each costs a notice, none ends the program or fills its memory. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { parseConfig, type ResolvedConfig } from '../../../src/experiments/config/index.js';
import { Reports } from '../../../src/experiments/run/reports.js';
import { mlflowServer } from '../../../src/experiments/trackers/mlflow-server.js';
import type { TaskResult } from '../../../src/experiments/store/results.js';
import { masked } from '../../../src/util/secrets.js';
import { MlflowStandIn } from './mlflow-server.js';

const root = mkdtempSync(join(tmpdir(), 'westwind-mlflow-'));
after(() => rmSync(root, { recursive: true, force: true }));

const STEPS = 20;
const RESULT: TaskResult = {
  task: 'pets',
  kind: 'classification',
  metric: 'classification',
  train_rows: 3,
  test_rows: 3,
  methods: [
    { method: 'tuned', metrics: { accuracy: 0.5 }, intervals: {}, rows: 3, unanswered: 0, seconds: 1 },
  ],
  training: { steps: STEPS, first_loss: 2, last_loss: 1, tokens: 10, seconds: 1 },
};

function configOf(tracking_uri: string): ResolvedConfig {
  const config = parseConfig(
    `model_name_or_path: m\nreport_to: [mlflow]\n` +
      'tasks: {pets: {task: classification, train: {path: a.csv}, test: {path: a.csv}}}\n',
  );
  // As the environment would name it: of a configuration's own a password is refused before.
  return { ...config, mlflow: { tracking_uri } };
}

/** A finished task of a run, told to the server at `uri`. @returns the notices, and the task's folder */
async function tell(uri: string, receipt?: string): Promise<{ notices: string[]; task: string }> {
  const folder = mkdtempSync(join(root, 'run-'));
  const task = join(folder, 'pets');
  mkdirSync(task);
  const config = configOf(uri);
  const manifest = {
    ...{ id: 'abc', westwind: '1', started: '2026-01-01T00:00:00Z', code: 'c', config },
    fingerprints: { model: 'm', data: {}, backend: 'cpu' },
  };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const steps = Array.from({ length: STEPS }, (_, i) => ({
    ...{ step: i + 1, steps: STEPS, epoch: 1, loss: 1, grad_norm: 1, learning_rate: 1, tokens: 1 },
    ...{ trained_tokens: 1, seconds: 1, time: 1 },
  }));
  writeFileSync(join(task, 'train.jsonl'), steps.map((step) => `${JSON.stringify(step)}\n`).join(''));
  writeFileSync(join(task, 'result.json'), JSON.stringify(RESULT));
  if (receipt !== undefined) writeFileSync(join(task, 'mlflow.json'), receipt);
  const notices: string[] = [];
  const reports = new Reports('showing', (text) => notices.push(text));
  steps.forEach(() => reports.see(config, folder, 'pets'));
  reports.see(config, folder, 'pets', RESULT);
  await reports.end('finished');
  return { notices, task };
}

async function serve(t: TestContext, answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_, response) => answer(response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('an MLflow server that is none', { timeout: 120_000 }, () => {
  it('gets a run in batches, and its receipt says that it has it', async () => {
    const server = new MlflowStandIn();
    const { notices, task } = await tell(await server.start());
    assert.deepEqual(notices, []);
    assert.equal(server.requests.filter(({ path }) => path === 'runs/log-batch').length, 2);
    assert.match(readFileSync(join(task, 'mlflow.json'), 'utf8'), /"eval\/accuracy": 0.5/);
    await server.stop();
  });

  it('a damaged receipt is told and written anew', async () => {
    const server = new MlflowStandIn();
    const uri = await server.start();
    for (const receipt of ['', '{', 'null', '[]', '{"figures": 3}', '['.repeat(100_000)]) {
      const { notices, task } = await tell(uri, receipt);
      assert.equal(notices.length, 1, receipt.slice(0, 20));
      assert.match(notices[0]!, /mlflow\.json is damaged .*the server is asked/);
      assert.match(readFileSync(join(task, 'mlflow.json'), 'utf8'), /"eval\/accuracy": 0.5/);
    }
    await server.stop();
  });

  it('an address that is none costs a notice without its password', async () => {
    for (const uri of [
      'http://%zz:%zz@localhost:1/',
      'http://ann:secret@',
      'ftp://ann:secret@host',
      'http://ann:sec/ret@host',
      ' ',
      '\0',
    ]) {
      const { notices } = await tell(uri);
      assert.equal(notices.length, 1, uri);
      assert.doesNotMatch(notices[0]!, /sec|\n/);
    }
  });

  it('an answer without an end, of another shape, or with line breaks in its refusal is told in a line', async (t) => {
    const endless = await serve(t, (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = (): void => {
        while (response.write('{"a":'.repeat(10_000)));
        response.once('drain', more);
      };
      more();
    });
    assert.match((await tell(endless)).notices.join('|'), /^MLflow at [^|]*more than 16 MB[^|]*$/);
    for (const [status, text] of [
      [200, 'null'],
      [200, '{}'],
      [200, '{"experiment": []}'],
      [200, '<html>'],
      [500, 'null'],
      [500, '{"message": 3, "error_code": {}}'],
      [400, JSON.stringify({ message: `a\n\u001b[2Jb Bearer abcdef ${'long '.repeat(9999)}` })],
    ] as const) {
      const uri = await serve(t, (response) => response.writeHead(status).end(text));
      const { notices } = await tell(uri);
      assert.equal(notices.length, 1, text.slice(0, 30));
      assert.match(notices[0]!, /^MLflow at http[^\p{Cc}]{10,600}$/u);
      assert.doesNotMatch(notices[0]!, /abcdef/);
    }
  });

  it('a server that drips is left after the time of a request', async (t) => {
    const uri = await serve(t, (response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    });
    const kept = process.env['MLFLOW_HTTP_REQUEST_TIMEOUT'];
    t.after(() => {
      if (kept === undefined) delete process.env['MLFLOW_HTTP_REQUEST_TIMEOUT'];
      else process.env['MLFLOW_HTTP_REQUEST_TIMEOUT'] = kept;
    });
    process.env['MLFLOW_HTTP_REQUEST_TIMEOUT'] = '0.3';
    assert.match((await tell(uri)).notices.join('|'), /^[^|]*did not answer in time[^|]*$/);
  });
});

it('a token with a line break is refused and not shown; odd times of requests are bounded', (t) => {
  const kept = process.env;
  t.after(() => (process.env = kept));
  const env: NodeJS.ProcessEnv = (process.env = { MLFLOW_TRACKING_TOKEN: 'abc\ndefghi' });
  const refused = mlflowServer({ mlflow: { tracking_uri: 'http://host' } });
  assert.match(refused as string, /MLFLOW_TRACKING_TOKEN has a space, a line break/);
  assert.doesNotMatch(refused as string, /abc|defghi/);
  delete env['MLFLOW_TRACKING_TOKEN'];
  for (const [text, ms] of [
    ['-3', 10_000],
    ['1e999', 3_600_000],
    ['x', 10_000],
    ['2.5', 2500],
  ] as const) {
    env['MLFLOW_HTTP_REQUEST_TIMEOUT'] = text;
    assert.equal(
      (mlflowServer({ mlflow: { tracking_uri: 'http://host' } }) as { timeoutMs: number }).timeoutMs,
      ms,
    );
  }
});

it('secrets are masked, and what only looks like one is not', (t) => {
  const kept = process.env['HF_TOKEN'];
  t.after(() => {
    if (kept === undefined) delete process.env['HF_TOKEN'];
    else process.env['HF_TOKEN'] = kept;
  });
  process.env['HF_TOKEN'] = 'first line\nsecond';
  for (const [text, shown] of [
    ['at https://ann:p@ss@host/x?y', 'at https://***@host/x?y'],
    ['at https://token@host: refused', 'at https://***@host: refused'],
    ['at http://ann:a/b@host/', 'at http://***@host/'],
    ['at https://host:8080/@user/a@b', 'at https://host:8080/@user/a@b'],
    ['a@b.org wrote https://host/', 'a@b.org wrote https://host/'],
    ['Headers.append: "Bearer abc.def" is invalid', 'Headers.append: "Bearer ***" is invalid'],
    ['it has hf_abcdefghijklmnop in it', 'it has *** in it'],
    [String.raw`"first line\nsecond" is no token`, '"***" is no token'],
    ['second', '***'],
  ] as const)
    assert.equal(masked(text), shown);
});
