/**
 * The part of MLflow's REST interface that a run needs (mlflow.org, "REST API", 2.0): experiments and runs found or made, batches of
 * metrics, parameters and tags within the server's limits (mlflow/utils/validation.py).
 */

import { z } from 'zod';
import { masked } from '../../util/secrets.js';

export interface MlflowServer {
  readonly uri: string;
  readonly experiment: string;
  readonly authorization?: string;
  readonly timeoutMs: number;
}

export interface LoggedMetric {
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

const number = z.union([z.number(), z.string()]);

/** What is taken of a server's answers; a server may write numbers as texts. */
const runSchema = z.object({
  info: z.object({ run_id: z.string(), status: z.string() }),
  data: z
    .object({
      /** The latest of each key. */
      metrics: z.array(z.object({ key: z.string(), value: number, step: number.optional() })).optional(),
      params: z.array(z.object({ key: z.string(), value: z.string() })).optional(),
    })
    .default({}),
});

export type MlflowRun = z.infer<typeof runSchema>;

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

/** Far more than a run's last figures and parameters take. */
const MAX_ANSWER_BYTES = 16 << 20;
/** Of the server's own words. */
const MAX_REASON = 300;
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
      const { experiment } = await this.call(
        'GET',
        `experiments/get-by-name?${query.toString()}`,
        undefined,
        z.object({ experiment: z.object({ experiment_id: z.string() }) }),
      );
      return experiment.experiment_id;
    };
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof MlflowError) || error.code !== 'RESOURCE_DOES_NOT_EXIST') throw error;
    }
    try {
      const answer = z.object({ experiment_id: z.string() });
      return (await this.call('POST', 'experiments/create', { name }, answer)).experiment_id;
    } catch (error) {
      if (!(error instanceof MlflowError) || error.code !== 'RESOURCE_ALREADY_EXISTS') throw error;
      // Another run was faster.
      return find();
    }
  }

  /** The newest run that has all of the tags. */
  async findRun(experiment: string, tags: readonly KeyValue[]): Promise<MlflowRun | undefined> {
    const query = {
      experiment_ids: [experiment],
      filter: tags.map(({ key, value }) => `tags.\`${key}\` = '${value}'`).join(' and '),
      max_results: 1,
      order_by: ['attributes.start_time DESC'],
    };
    const answer = z.object({ runs: z.array(runSchema).optional() });
    return (await this.call('POST', 'runs/search', query, answer)).runs?.[0];
  }

  async createRun(
    experiment: string,
    name: string,
    start: number,
    tags: readonly KeyValue[],
  ): Promise<MlflowRun> {
    const order = {
      experiment_id: experiment,
      run_name: name,
      start_time: start,
      tags: tags.map(({ key, value }) => ({ key, value: value.slice(0, MAX_TAG_VALUE) })),
    };
    return (await this.call('POST', 'runs/create', order, z.object({ run: runSchema }))).run;
  }

  async logMetrics(run_id: string, metrics: readonly LoggedMetric[]): Promise<void> {
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

  /** Throws MlflowError for a refusal, and for an answer that is not of the schema's shape or has no end. */
  private async call<T>(
    method: 'GET' | 'POST',
    path: string,
    body?: object,
    schema: z.ZodType<T> = z.unknown() as z.ZodType<T>,
  ): Promise<T> {
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
    const text = await boundedText(response);
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch {
      answer = undefined;
    }
    if (response.ok && answer !== undefined) {
      const checked = schema.safeParse(answer);
      if (checked.success) return checked.data;
      throw new MlflowError(`its answer to ${path.split('?', 1)[0]!} is none of MLflow's`, '');
    }
    const { error_code, message } = refusalSchema.parse(answer);
    const reason = `${response.status} ${error_code} ${message ?? response.statusText}`;
    throw new MlflowError(masked(reason.replace(/[\s\p{Cc}]+/gu, ' ').slice(0, MAX_REASON)), error_code);
  }
}

const refusalSchema = z
  .object({ error_code: z.string().default('').catch(''), message: z.string().optional().catch(undefined) })
  .catch({ error_code: '', message: undefined });

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    if ((size += bytes.length) > MAX_ANSWER_BYTES)
      throw new MlflowError(`its answer has more than ${MAX_ANSWER_BYTES >> 20} MB`, '');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
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
