/**
 * The part of MLflow's REST interface that a run needs (mlflow.org, "REST API", 2.0): experiments and runs found or made, batches of
 * metrics, parameters and tags within the server's limits (mlflow/utils/validation.py).
 */

export interface MlflowServer {
  readonly uri: string;
  readonly experiment: string;
  readonly authorization?: string;
  readonly timeoutMs: number;
}

export interface Metric {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

export type RunStatus = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED';

export interface MlflowRun {
  readonly info: { readonly run_id: string; readonly status: RunStatus };
  readonly data: {
    /** The latest of each key; a server may write numbers as texts. */
    readonly metrics?: readonly { key: string; value: number | string; step?: number | string }[];
    readonly params?: readonly KeyValue[];
  };
}

/** The server's refusal. */
export class MlflowError extends Error {
  override readonly name = 'MlflowError';

  constructor(
    message: string,
    /** As in RESOURCE_DOES_NOT_EXIST; '' for an answer that is none of MLflow's. */
    readonly code: string,
  ) {
    super(message);
  }
}

const MAX_METRICS = 1000;
const MAX_PARAMS = 100;
const MAX_KEY = 250;
const MAX_PARAM_VALUE = 6000;
const MAX_TAG_VALUE = 5000;

export class MlflowClient {
  constructor(
    private readonly server: MlflowServer,
    /** Ends whatever is under way. */
    private readonly signal: AbortSignal,
  ) {}

  /** The experiment's id; it is made where it is missing. */
  async experiment(): Promise<string> {
    const name = this.server.experiment;
    const find = async (): Promise<string> => {
      const query = new URLSearchParams({ experiment_name: name });
      const found = await this.call('GET', `experiments/get-by-name?${query.toString()}`);
      return (found as { experiment: { experiment_id: string } }).experiment.experiment_id;
    };
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof MlflowError) || error.code !== 'RESOURCE_DOES_NOT_EXIST') throw error;
    }
    try {
      const made = await this.call('POST', 'experiments/create', { name });
      return (made as { experiment_id: string }).experiment_id;
    } catch (error) {
      if (!(error instanceof MlflowError) || error.code !== 'RESOURCE_ALREADY_EXISTS') throw error;
      // Another run was faster.
      return find();
    }
  }

  /** The newest run that has all of the tags. */
  async findRun(experiment: string, tags: readonly KeyValue[]): Promise<MlflowRun | undefined> {
    const { runs } = (await this.call('POST', 'runs/search', {
      experiment_ids: [experiment],
      filter: tags.map(({ key, value }) => `tags.\`${key}\` = '${value}'`).join(' and '),
      max_results: 1,
      order_by: ['attributes.start_time DESC'],
    })) as { runs?: MlflowRun[] };
    return runs?.[0];
  }

  async createRun(
    experiment: string,
    name: string,
    start: number,
    tags: readonly KeyValue[],
  ): Promise<MlflowRun> {
    const made = await this.call('POST', 'runs/create', {
      experiment_id: experiment,
      run_name: name,
      start_time: start,
      tags: tags.map(({ key, value }) => ({ key, value: value.slice(0, MAX_TAG_VALUE) })),
    });
    return (made as { run: MlflowRun }).run;
  }

  async logMetrics(run_id: string, metrics: readonly Metric[]): Promise<void> {
    for (let at = 0; at < metrics.length; at += MAX_METRICS)
      await this.call('POST', 'runs/log-batch', { run_id, metrics: metrics.slice(at, at + MAX_METRICS) });
  }

  async logParams(run_id: string, params: readonly KeyValue[]): Promise<void> {
    for (let at = 0; at < params.length; at += MAX_PARAMS)
      await this.call('POST', 'runs/log-batch', { run_id, params: params.slice(at, at + MAX_PARAMS) });
  }

  /** `end`: milliseconds since 1970, of a run that is over. */
  async setStatus(run_id: string, status: RunStatus, end?: number): Promise<void> {
    await this.call('POST', 'runs/update', { run_id, status, ...(end !== undefined && { end_time: end }) });
  }

  private async call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    const { uri, authorization, timeoutMs } = this.server;
    const response = await fetch(`${uri}/api/2.0/mlflow/${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(authorization !== undefined && { authorization }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([this.signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await response.text();
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch {
      answer = undefined;
    }
    if (response.ok && answer !== undefined) return answer;
    const { error_code = '', message } = (answer ?? {}) as { error_code?: string; message?: string };
    const reason = (message ?? response.statusText).split('\n', 1)[0]!;
    throw new MlflowError(`${response.status} ${error_code} ${reason}`.replace(/ +/g, ' '), error_code);
  }
}

/** A value's leaves as parameters, their keys joined by dots; what the server would refuse in a key or value is cut or replaced. */
export function flatten(value: object): KeyValue[] {
  const found = new Map<string, string>();
  const walk = (part: unknown, path: string): void => {
    if (typeof part === 'object' && part !== null && !Array.isArray(part)) {
      for (const [key, inner] of Object.entries(part))
        walk(inner, `${path === '' ? '' : `${path}.`}${key.replace(/[^\p{L}\p{N}_.\- ]/gu, '_')}`);
      return;
    }
    const text = typeof part === 'string' ? part : (JSON.stringify(part) as string | undefined);
    // A server takes an empty value for a missing one.
    if (text) found.set(path.slice(0, MAX_KEY), text.slice(0, MAX_PARAM_VALUE));
  };
  walk(value, '');
  return [...found].map(([key, text]) => ({ key, value: text }));
}
