/** Runs that report to MLflow: what the server comes to hold, whatever happens to it or to the run. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { flatten, MlflowClient, MlflowError } from '../../../src/experiments/trackers/mlflow-client.js';
import { EVENTS } from '../../../src/experiments/trackers/tensorboard.js';
import { readEventFile } from '../../../src/experiments/trackers/tfevents.js';
import { mlflowServer } from '../../../src/experiments/trackers/mlflow-server.js';
import { evalScalars, stepScalars } from '../../../src/experiments/run/tracked.js';
import type { LoggedEvaluation, LoggedStep } from '../../../src/experiments/store/steps.js';
import { readRecords } from '../../../src/experiments/store/records.js';
import type { TaskResult } from '../../../src/experiments/store/results.js';
import {
  makeJob,
  makeModel,
  runFolder,
  sentences,
  start,
  temporaryFolder,
  westwind,
  type JobFiles,
  type Outcome,
} from '../../cli/support.js';
import { MlflowStandIn, type StoredRun } from './mlflow-server.js';

const STEPS = 16;
const SHORT = { 'max_steps: 40': `max_steps: ${STEPS}` };
let model: string;
const servers: MlflowStandIn[] = [];

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

after(async () => {
  for (const server of servers) await server.stop();
});

async function startServer(): Promise<{ server: MlflowStandIn; env: NodeJS.ProcessEnv }> {
  const server = new MlflowStandIn();
  servers.push(server);
  const env = {
    MLFLOW_TRACKING_URI: await server.start(),
    MLFLOW_EXPERIMENT_NAME: 'boats & cats',
    MLFLOW_HTTP_REQUEST_TIMEOUT: '60',
  };
  return { server, env };
}

function reportingJob(): JobFiles {
  return makeJob(model, { ...SHORT, 'seed: 5': 'seed: 5\nreport_to: [tensorboard, mlflow]' });
}

function assertDone({ code, stderr }: Outcome): void {
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
}

const notices = ({ stdout }: Outcome): string[] =>
  stdout.split('\n').filter((line) => line.startsWith('MLflow at '));

/** The server's only run has each step and figure of the run's records, once. */
function assertWhole(server: MlflowStandIn, job: JobFiles): StoredRun {
  const [run, ...others] = server.runs.values();
  assert.ok(run);
  assert.equal(others.length, 0);
  const task = join(runFolder(job), 'subjects');
  const records = readRecords<LoggedStep>(join(task, 'train.jsonl'));
  assert.equal(records.length, STEPS);
  const training = run.metrics.filter(({ key }) => key.startsWith('train/'));
  const expected = records.flatMap((record) =>
    Object.entries(stepScalars(record)).map(([key, value]) => ({
      key,
      value,
      timestamp: Math.round(1000 * record.time),
      step: record.step,
    })),
  );
  assert.deepEqual(training, expected);
  const { methods } = JSON.parse(readFileSync(join(task, 'result.json'), 'utf8')) as TaskResult;
  const figures = methods.flatMap((method) => Object.entries(evalScalars(method)));
  assert.deepEqual(
    run.metrics.filter(({ key }) => !key.startsWith('train/')).map(({ key, value }) => [key, value]),
    figures,
  );
  assert.equal(run.status, 'FINISHED');
  assert.ok(run.end_time! >= run.start_time);
  return run;
}

describe('reports to MLflow', { concurrency: 2 }, () => {
  it('a run stands on the server with its settings, steps and figures, and is not told of twice', async () => {
    const { server, env } = await startServer();
    const job = reportingJob();
    const first = await westwind(['run', job.config], { env });
    assertDone(first);
    assert.deepEqual(notices(first), []);
    assert.deepEqual([...server.experiments.keys()], ['boats & cats']);
    const run = assertWhole(server, job);
    const manifest = JSON.parse(readFileSync(join(runFolder(job), 'manifest.json'), 'utf8')) as {
      id: string;
      code: string;
    };
    assert.equal(run.name, `subjects ${manifest.id}`);
    assert.equal(run.tags.get('westwind.id'), manifest.id);
    assert.equal(run.tags.get('westwind.code'), manifest.code);
    assert.equal(run.params.get('training.learning_rate'), '0.005');
    assert.equal(run.params.get('lora.r'), '4');
    assert.equal(run.params.get('seed'), '5');
    assert.equal(run.params.get('baselines'), '["zero_shot"]');
    const before = server.requests.length;
    assertDone(await westwind(['run', job.config], { env }));
    assert.equal(server.requests.length, before);
  });

  it('a server that is away costs one notice, and has everything after the next start', async () => {
    const { server, env } = await startServer();
    await server.stop();
    const job = reportingJob();
    const away = await westwind(['run', job.config], { env });
    assertDone(away);
    assert.equal(notices(away).length, 1);
    assert.match(notices(away)[0]!, /ECONNREFUSED; what it lacks is sent when it answers/);
    await server.start();
    const again = await westwind(['run', job.config], { env });
    assertDone(again);
    assert.deepEqual(notices(again), []);
    assertWhole(server, job);
  });

  it('errors while it runs are made up for at the end', async () => {
    const { server, env } = await startServer();
    let errors = 2;
    server.fault = (path) => (path === 'runs/log-batch' && errors-- > 0 ? 'error' : undefined);
    const job = reportingJob();
    const outcome = await westwind(['run', job.config], { env });
    assertDone(outcome);
    assert.equal(notices(outcome).length, 1);
    server.fault = () => undefined;
    assertDone(await westwind(['run', job.config], { env }));
    assertWhole(server, job);
  });

  it('a server that never answers neither stops the run nor keeps it waiting', async () => {
    const { server, env } = await startServer();
    server.fault = () => 'hang';
    const job = reportingJob();
    const impatient = { ...env, MLFLOW_HTTP_REQUEST_TIMEOUT: '1' };
    const outcome = await westwind(['run', job.config], { env: impatient });
    assertDone(outcome);
    assert.equal(notices(outcome).length, 1);
    assert.match(notices(outcome)[0]!, /did not answer in time/);
    server.fault = () => undefined;
    assertDone(await westwind(['run', job.config], { env }));
    assertWhole(server, job);
  });

  it('a connection that breaks after the server has taken a batch repeats nothing', async () => {
    const { server, env } = await startServer();
    let breaks = 2;
    server.fault = (path) => (path === 'runs/log-batch' && breaks-- > 0 ? 'break' : undefined);
    const job = reportingJob();
    for (let time = 0; time < 3; time++) assertDone(await westwind(['run', job.config], { env }));
    assert.ok(breaks <= 0);
    assertWhole(server, job);
  });

  it('a run that is stopped, then killed, goes on as the same run of the server’s', async () => {
    const { server, env } = await startServer();
    const job = reportingJob();
    const stopped = start(['run', job.config], { env });
    await stopped.until('step 4/16');
    stopped.signal('SIGINT');
    assert.equal((await stopped.ended).code, 130);
    const [run] = server.runs.values();
    assert.equal(run!.status, 'KILLED');
    assert.ok(run!.metrics.length > 0 && run!.metrics.at(-1)!.step < STEPS);
    const killed = start(['run', job.config], { env });
    await killed.until('step 10/16');
    killed.signal('SIGKILL');
    await killed.ended;
    assertDone(await westwind(['run', job.config], { env }));
    assertWhole(server, job);
  });

  it('evaluations are told as they come, by transformers’ names, and test figures apart from them', async () => {
    const { server, env } = await startServer();
    const steered =
      '  eval_strategy: steps\n  eval_steps: 4\n  load_best_model_at_end: true\n  metric_for_best_model: accuracy\n';
    const job = makeJob(model, {
      ...SHORT,
      'seed: 5': 'seed: 5\nreport_to: [tensorboard, mlflow]',
      '  logging_steps: 1\n': `  logging_steps: 1\n${steered}`,
      '    test: {path: test.csv}\n': '    test: {path: test.csv}\n    validation: {path: validation.csv}\n',
    });
    writeFileSync(join(job.folder, 'validation.csv'), sentences(9, 200));
    const killed = start(['run', job.config], { env });
    await killed.until('step 10/16');
    killed.signal('SIGKILL');
    await killed.ended;
    assertDone(await westwind(['run', job.config], { env }));
    const task = join(runFolder(job), 'subjects');
    const evaluations = readRecords<LoggedEvaluation>(join(task, 'eval.jsonl'));
    assert.deepEqual(
      evaluations.map(({ step }) => step),
      [4, 8, 12, 16],
    );
    const wanted = evaluations.flatMap((of) => [
      ...['accuracy', 'f1_macro'].map((name) => [`eval/${name}`, of.step, of.metrics![name]] as const),
      ...([['eval/runtime', of.step, of.seconds]] as const),
      ...([['eval/loss', of.step, of.loss]] as const),
    ]);
    const [{ metrics }] = [...server.runs.values()] as [StoredRun];
    const shown = new Set<string>(wanted.map(([key]) => key));
    assert.deepEqual(
      metrics.filter(({ key }) => shown.has(key)).map(({ key, step, value }) => [key, step, value]),
      wanted,
    );
    assert.ok(metrics.filter(({ key }) => key.startsWith('eval/')).every(({ step }) => step % 4 === 0));
    assert.equal(metrics.filter(({ key }) => key === 'test/accuracy').length, 1);
    const events = readEventFile(join(task, EVENTS));
    const losses = events.filter(({ scalars }) => 'eval/loss' in scalars);
    assert.deepEqual(
      losses.map(({ step, scalars }) => [step, scalars['eval/loss']]),
      evaluations.map(({ step, loss }) => [step, Math.fround(loss)]),
    );
    assert.equal(events.filter(({ scalars }) => 'test/accuracy' in scalars).length, 1);
  });

  it('no server named: one notice, and the run goes on', async () => {
    const job = reportingJob();
    const outcome = await westwind(['run', job.config], { env: { MLFLOW_TRACKING_URI: '' } });
    assertDone(outcome);
    assert.equal(outcome.stdout.match(/no server is named/g)!.length, 1);
    assert.ok(!existsSync(join(runFolder(job), 'subjects/mlflow.json')));
  });

  it('the limits of a batch are kept, and a refusal has the server’s words', async () => {
    const { server, env } = await startServer();
    const settings = { uri: env['MLFLOW_TRACKING_URI']!, experiment: 'limits', timeoutMs: 5000 };
    const client = new MlflowClient(settings, new AbortController().signal);
    const ids = await Promise.all([client.experiment(), client.experiment(), client.experiment()]);
    assert.equal(new Set(ids).size, 1);
    const tags = [{ key: 'westwind.id', value: 'x'.repeat(9000) }];
    const { info } = await client.createRun(ids[0], 'many', Date.now(), tags);
    const metrics = Array.from({ length: 2500 }, (_, step) => ({
      key: 'a',
      value: step,
      timestamp: 1,
      step,
    }));
    await client.logMetrics(info.run_id, metrics);
    const wide = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`k${i}`, i]));
    const odd = {
      'who? (name)/x': 'é',
      'naïve ключ': [1, 'a'],
      empty: '',
      none: {},
      not: null,
      long: 'l'.repeat(7000),
    };
    await client.logParams(info.run_id, flatten({ wide, odd }));
    const run = server.runs.get(info.run_id)!;
    assert.deepEqual(run.metrics, metrics);
    assert.equal(run.params.size, 250 + 4);
    assert.equal(run.params.get('odd.who_ _name__x'), 'é');
    assert.equal(run.params.get('odd.naïve ключ'), '[1,"a"]');
    assert.equal(run.params.get('odd.not'), 'null');
    assert.equal(run.params.get('odd.long')!.length, 6000);
    await assert.rejects(
      client.logParams(info.run_id, [{ key: 'wide.k1', value: 'other' }]),
      (error: unknown) =>
        error instanceof MlflowError &&
        error.code === 'INVALID_PARAMETER_VALUE' &&
        /^400 INVALID_PARAMETER_VALUE Changing param values is not allowed/.test(error.message),
    );
    await assert.rejects(client.setStatus('nobody', 'FAILED'), /404 RESOURCE_DOES_NOT_EXIST/);
  });

  it('servers and passwords are named as MLflow names them, and the configuration comes first', async (t) => {
    const kept = process.env;
    t.after(() => (process.env = kept));
    const env: NodeJS.ProcessEnv = (process.env = {});
    const of = (mlflow: { tracking_uri?: string; experiment_name?: string } = {}) => mlflowServer({ mlflow });
    assert.match(of() as string, /no server is named/);
    env['MLFLOW_TRACKING_URI'] = 'sqlite:///mlruns.db';
    assert.match(of() as string, /http or https address: sqlite/);
    env['MLFLOW_TRACKING_URI'] = 'https://ann:p%40ss@example.org/mlflow/';
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    assert.deepEqual(of(), {
      uri: 'https://example.org/mlflow',
      experiment: 'Default',
      timeoutMs: 10_000,
      authorization: basic('ann:p@ss'),
    });
    env['MLFLOW_TRACKING_URI'] = 'http://localhost:5000';
    env['MLFLOW_TRACKING_TOKEN'] = 'token';
    assert.equal((of() as { authorization: string }).authorization, 'Bearer token');
    env['MLFLOW_TRACKING_USERNAME'] = 'ben';
    env['MLFLOW_TRACKING_PASSWORD'] = 'secret';
    env['MLFLOW_EXPERIMENT_NAME'] = 'theirs';
    assert.deepEqual(of({ tracking_uri: 'http://other:1', experiment_name: 'mine' }), {
      uri: 'http://other:1',
      experiment: 'mine',
      timeoutMs: 10_000,
      authorization: basic('ben:secret'),
    });
    const { server } = await startServer();
    const uri = `http://127.0.0.1:${new URL((await server.stop(), await server.start())).port}`;
    const client = new MlflowClient(
      { uri, experiment: 'e', timeoutMs: 5000, authorization: 'Bearer token' },
      new AbortController().signal,
    );
    await client.experiment();
    assert.ok(server.requests.every(({ authorization }) => authorization === 'Bearer token'));
  });
});
