/**
 * A server with MLflow's tracking interface as far as runs need it, in memory: its endpoints, its validation (mlflow/utils/validation.py)
 * and the bodies and codes of its errors. Metrics are kept as MLflow's file store keeps them: what is sent twice stands there twice.
 */

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StoredRun {
  readonly id: string;
  readonly experiment: string;
  readonly name: string;
  status: string;
  end_time?: number;
  readonly start_time: number;
  readonly params: Map<string, string>;
  readonly tags: Map<string, string>;
  readonly metrics: { key: string; value: number; timestamp: number; step: number }[];
}

/** What a request meets: an error of the server's, silence, or a connection that breaks once the request was carried out. */
export type Fault = 'error' | 'hang' | 'break' | undefined;

const STATUS: Readonly<Record<string, number>> = {
  RESOURCE_DOES_NOT_EXIST: 404,
  ENDPOINT_NOT_FOUND: 404,
  INVALID_PARAMETER_VALUE: 400,
  RESOURCE_ALREADY_EXISTS: 400,
  INVALID_STATE: 500,
};

class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const invalid = (message: string): Refusal => new Refusal('INVALID_PARAMETER_VALUE', message);

type Body = Record<string, unknown>;

export class MlflowStandIn {
  readonly experiments = new Map<string, string>();
  readonly runs = new Map<string, StoredRun>();
  /** Of each request: endpoint and authorization. */
  readonly requests: { readonly path: string; readonly authorization: string | undefined }[] = [];
  fault: (path: string) => Fault = () => undefined;
  private server: Server | undefined;
  private port = 0;

  /** Listens, at the port that it had before where it had one. */
  async start(): Promise<string> {
    const server = (this.server = createServer((request, response) => {
      void read(request).then((text) => {
        const url = new URL(request.url!, 'http://localhost');
        const path = url.pathname.replace('/api/2.0/mlflow/', '');
        this.requests.push({ path, authorization: request.headers.authorization });
        const fault = this.fault(path);
        if (fault === 'hang') return;
        if (fault === 'error') {
          response.writeHead(500, { 'content-type': 'text/html' }).end('<h1>Internal Server Error</h1>');
          return;
        }
        let status = 200;
        let answer: object;
        try {
          answer = this.answer(request.method!, path, url, text);
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          status = STATUS[error.code]!;
          answer = { error_code: error.code, message: error.message };
        }
        if (fault === 'break') {
          request.socket.destroy();
          return;
        }
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    }));
    await new Promise<void>((done) => server.listen(this.port, '127.0.0.1', done));
    this.port = (server.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    this.server!.closeAllConnections();
    await new Promise((done) => this.server!.close(done));
  }

  private answer(method: string, path: string, url: URL, text: string): object {
    const body = (text === '' ? Object.fromEntries(url.searchParams) : JSON.parse(text)) as Body;
    const endpoint = ENDPOINTS[`${method} ${path}`];
    if (endpoint === undefined) throw new Refusal('ENDPOINT_NOT_FOUND', `no endpoint ${method} ${path}`);
    if (path === 'runs/log-batch' && text.length > 1e6) {
      throw invalid(
        `Batched logging API requests must be at most 1000000 bytes, got a request of size ${text.length}.`,
      );
    }
    return endpoint(this, body);
  }
}

const ENDPOINTS: Readonly<Record<string, (store: MlflowStandIn, body: Body) => object>> = {
  'GET experiments/get-by-name': (store, body) => {
    const name = required(body, 'experiment_name');
    const id = store.experiments.get(name);
    if (id === undefined)
      throw new Refusal('RESOURCE_DOES_NOT_EXIST', `Could not find experiment with name '${name}'`);
    return { experiment: { experiment_id: id, name, lifecycle_stage: 'active' } };
  },
  'POST experiments/create': (store, body) => {
    const name = required(body, 'name');
    if (name.length > 500) throw invalid('Experiment name exceeds the maximum length of 500 characters');
    if (store.experiments.has(name))
      throw new Refusal('RESOURCE_ALREADY_EXISTS', `Experiment(name=${name}) already exists.`);
    store.experiments.set(name, String(store.experiments.size));
    return { experiment_id: store.experiments.get(name)! };
  },
  'POST runs/create': (store, body) => {
    const experiment = required(body, 'experiment_id');
    if (![...store.experiments.values()].includes(experiment))
      throw new Refusal('RESOURCE_DOES_NOT_EXIST', `No Experiment with id=${experiment} exists`);
    if (!Number.isSafeInteger(body['start_time'])) throw invalid(`Invalid value for parameter 'start_time'`);
    const tags = (body['tags'] ?? []) as { key: string; value: string }[];
    for (const { key, value } of tags) checkEntity('Tag', key, value, 5000);
    const run: StoredRun = {
      id: `${store.runs.size}`.padStart(32, 'abcdef0123'),
      experiment,
      name: required(body, 'run_name'),
      status: 'RUNNING',
      start_time: body['start_time'] as number,
      params: new Map(),
      tags: new Map(tags.map(({ key, value }) => [key, value])),
      metrics: [],
    };
    store.runs.set(run.id, run);
    return { run: shown(run) };
  },
  'POST runs/search': (store, body) => {
    const filter = required(body, 'filter');
    const wanted = filter.split(/ and /i).map((part) => {
      const match = /^tags\.`([^`]+)` = '([^']*)'$/.exec(part);
      if (match === null) throw invalid(`Invalid clause(s) in filter string: '${part}'`);
      return [match[1]!, match[2]!] as const;
    });
    const ids = body['experiment_ids'] as string[];
    const found = [...store.runs.values()].filter(
      (run) => ids.includes(run.experiment) && wanted.every(([key, value]) => run.tags.get(key) === value),
    );
    // MLflow leaves an empty list out.
    return found.length === 0 ? {} : { runs: found.slice(0, body['max_results'] as number).map(shown) };
  },
  'POST runs/update': (store, body) => {
    const run = runOf(store, body);
    const status = body['status'] as string;
    if (!['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'].includes(status))
      throw invalid(`Invalid value ${status} for parameter 'status'`);
    run.status = status;
    if (body['end_time'] !== undefined) run.end_time = body['end_time'] as number;
    return { run_info: shown(run).info };
  },
  'POST runs/log-batch': (store, body) => {
    const run = runOf(store, body);
    const metrics = (body['metrics'] ?? []) as StoredRun['metrics'];
    const params = (body['params'] ?? []) as { key: string; value: string }[];
    atMost(1000, 'metrics', metrics.length);
    atMost(100, 'params', params.length);
    for (const { key, value, timestamp, step } of metrics) {
      checkName('metric', key);
      if (typeof value !== 'number') throw invalid(`Got invalid value ${String(value)} for metric '${key}'`);
      if (!Number.isSafeInteger(timestamp) || timestamp < 0)
        throw invalid(`Got invalid timestamp ${timestamp} for metric '${key}'`);
      if (!Number.isSafeInteger(step)) throw invalid(`Got invalid step ${step} for metric '${key}'`);
    }
    for (const { key, value } of params) {
      checkEntity('Param', key, value, 6000);
      const there = run.params.get(key);
      if (there !== undefined && there !== value)
        throw invalid(`Changing param values is not allowed. Param with key='${key}' was already logged`);
    }
    if (new Set(params.map(({ key }) => key)).size < params.length)
      throw invalid('Duplicate parameter keys have been submitted');
    for (const { key, value } of params) run.params.set(key, value);
    run.metrics.push(...metrics);
    return {};
  },
};

function required(body: Body, name: string): string {
  const value = body[name];
  if (typeof value !== 'string' || value === '')
    throw invalid(`Missing value for required parameter '${name}'`);
  return value;
}

function runOf(store: MlflowStandIn, body: Body): StoredRun {
  const id = required(body, 'run_id');
  const run = store.runs.get(id);
  if (run === undefined) throw new Refusal('RESOURCE_DOES_NOT_EXIST', `Run with id=${id} not found`);
  return run;
}

function atMost(limit: number, what: string, count: number): void {
  if (count > limit)
    throw invalid(`A batch logging request can contain at most ${limit} ${what}. Got ${count} ${what}.`);
}

function checkName(what: string, name: string): void {
  // Python's \w, which has the letters of all scripts.
  if (!/^[/\p{L}\p{N}_.\- ]+$/u.test(name) || /^\/|^\.\.|\/\/|\/\.\.?(\/|$)|\/$|^\.$/.test(name))
    throw invalid(`Invalid ${what} name: '${name}'.`);
  if (name.length > 250) throw invalid(`${what} name '${name}' had length ${name.length}`);
}

function checkEntity(what: string, key: string, value: string, limit: number): void {
  checkName(what.toLowerCase(), key);
  if (typeof value !== 'string' || value === '')
    throw invalid(`Missing value for required parameter 'value'`);
  if (value.length > limit)
    throw invalid(`${what} value had length ${value.length}, which exceeded length limit of ${limit}`);
}

/** As the server writes a run: of each metric the latest. */
function shown(run: StoredRun) {
  const latest = new Map<string, StoredRun['metrics'][number]>();
  for (const metric of run.metrics) {
    const there = latest.get(metric.key);
    if (there === undefined || metric.step > there.step || metric.timestamp >= there.timestamp)
      latest.set(metric.key, metric);
  }
  const pairs = (map: ReadonlyMap<string, string>) => [...map].map(([key, value]) => ({ key, value }));
  return {
    info: { run_id: run.id, experiment_id: run.experiment, run_name: run.name, status: run.status },
    data: {
      ...(latest.size > 0 && { metrics: [...latest.values()] }),
      ...(run.params.size > 0 && { params: pairs(run.params) }),
      tags: pairs(run.tags),
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request.setEncoding('utf8')) text += part as string;
  return text;
}
