/**
 * Tells an MLflow server of runs (`report_to: [mlflow]`). It works in the process that shows a run, beside the one that computes, and
 * reads the run's own records: a server that is slow or away costs the run nothing, and what it misses is sent when it answers again, at
 * the end, or when the run is started again. What the server has already is asked of the server itself, so that nothing is told twice.
 */

import { constants } from 'node:buffer';
import { closeSync, existsSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { writeFileAtomic } from '../../util/atomic.js';
import { environment } from '../../util/environment.js';
import { messageOf } from '../../util/errors.js';
import { openRegular, parseJson } from '../../util/read.js';
import { isToken, masked } from '../../util/secrets.js';
import type { ResolvedConfig } from '../config/index.js';
import type { TaskResult } from '../store/results.js';
import { manifestSchema, receiptSchema, stepSchema } from '../store/schemas.js';
import { readChecked } from '../store/stored.js';
import {
  flatten,
  MlflowClient,
  MlflowError,
  type KeyValue,
  type Metric,
  type MlflowServer,
  type RunStatus,
} from './mlflow-client.js';
import type { Program } from '../store/program.js';
import { evalScalars, stepScalars, type LoggedStep } from './reports.js';
import type { Scalars } from './tfevents.js';

/** A step's metrics in the order in which they are sent: where the server has the last, it has all. */
const LAST_OF_STEP = Object.keys(stepScalars({} as LoggedStep)).at(-1)!;

const SEND_EVERY_MS = 2000;
/** After a failure the server is left alone for so long, but for a last attempt at the end. */
const QUIET_MS = 30_000;
/** The most that the end of a process waits for the server. */
const END_MS: Readonly<Record<Outcome, number>> = { finished: 15_000, stopped: 5000, failed: 3000 };

/** What is to be known of a run while it goes on. */
export type TrackedEvent =
  | { readonly type: 'run'; readonly folder: string }
  | { readonly type: 'stage' | 'step'; readonly task: string }
  | { readonly type: 'result'; readonly task: string; readonly result: TaskResult };

export type Outcome = 'finished' | 'stopped' | 'failed';

/** The server that a configuration or the environment names, by MLflow's own variables; a text says why there is none. */
export function mlflowServer({ mlflow }: Pick<ResolvedConfig, 'mlflow'>): MlflowServer | string {
  const named = mlflow.tracking_uri ?? environment('MLFLOW_TRACKING_URI');
  if (named === undefined)
    return 'report_to has mlflow, but no server is named: set MLFLOW_TRACKING_URI, or mlflow.tracking_uri in the configuration';
  if (!/^https?:\/\/./.test(named) || !URL.canParse(named))
    return `report_to has mlflow, but its server is not named by an http or https address: ${masked(named)}`;
  const url = new URL(named);
  let [user, password] = [url.username, url.password];
  try {
    [user, password] = [decodeURIComponent(user), decodeURIComponent(password)];
  } catch {
    return 'report_to has mlflow, but in its address a % of the name or password is not written %25';
  }
  user = environment('MLFLOW_TRACKING_USERNAME') ?? user;
  password = environment('MLFLOW_TRACKING_PASSWORD') ?? password;
  const token = environment('MLFLOW_TRACKING_TOKEN')?.trim();
  if (token && !isToken(token))
    return 'report_to has mlflow, but MLFLOW_TRACKING_TOKEN has a space, a line break or another character that no token has';
  url.username = url.password = '';
  const basic = user && password && `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const authorization = basic || (token && `Bearer ${token}`);
  return {
    uri: url.href.replace(/\/+$/, ''),
    experiment: mlflow.experiment_name ?? environment('MLFLOW_EXPERIMENT_NAME') ?? 'Default',
    timeoutMs: requestMs(environment('MLFLOW_HTTP_REQUEST_TIMEOUT')),
    ...(authorization && { authorization }),
  };
}

const DEFAULT_SECONDS = 10;
/** Longer than anyone waits, and within a timer's range. */
const MAX_SECONDS = 3600;

function requestMs(text: string | undefined): number {
  const seconds = Number(text);
  return 1000 * (seconds > 0 ? Math.min(seconds, MAX_SECONDS) : DEFAULT_SECONDS);
}

interface Manifest extends Program {
  readonly id: string;
  readonly started: string;
  readonly config: ResolvedConfig;
}

/** What stands in TASK/mlflow.json: that the server has all of a finished task. */
type Receipt = z.infer<typeof receiptSchema>;

const ASKED_AGAIN = 'the server is asked what it has';

/** A task of a run as a run of the server's. */
class MlflowTask {
  /** Something is there that was not sent. */
  waiting = false;
  /** What the server is to be told at the end. */
  over: RunStatus | undefined;
  private result: TaskResult | undefined;
  private known: { readonly id: string; readonly figures: Map<string, number> } | undefined;
  /** The last step that the server has, and the records read so far. */
  private step = 0;
  private read = 0;

  constructor(
    private readonly folder: string,
    private readonly task: string,
    readonly server: MlflowServer,
  ) {}

  /** The task is done, with these figures. Throws UserError for a damaged receipt, which is written anew. */
  finish(result: TaskResult): void {
    this.result = result;
    this.over = 'FINISHED';
    // Until the receipt says otherwise; it may be damaged.
    this.waiting = true;
    const path = this.path('mlflow.json');
    const receipt = existsSync(path) ? readChecked(path, receiptSchema, ASKED_AGAIN) : undefined;
    const { uri, experiment } = this.server;
    this.waiting =
      receipt?.tracking_uri !== uri ||
      receipt.experiment_name !== experiment ||
      !isDeepStrictEqual(receipt.figures, this.figures());
  }

  /** Sends what the server does not have. After a failure the server is asked again what it has. */
  async send(signal: AbortSignal): Promise<void> {
    const client = new MlflowClient(this.server, signal);
    try {
      const { id, figures } = (this.known ??= await this.find(client));
      const metrics = [...this.newSteps(), ...this.newFigures(figures)];
      await client.logMetrics(id, metrics);
      for (const { key, value, step } of metrics) {
        figures.set(key, value);
        this.step = Math.max(this.step, step);
      }
      if (this.over) await client.setStatus(id, this.over, Date.now());
      this.waiting = false;
      if (this.over === 'FINISHED') this.writeReceipt(id);
    } catch (error) {
      this.known = undefined;
      throw error;
    }
  }

  private async find(client: MlflowClient): Promise<NonNullable<MlflowTask['known']>> {
    const manifest = readChecked(join(this.folder, 'manifest.json'), manifestSchema, 'nothing is told of it');
    const { id, started, commit, code, westwind, config } = manifest as unknown as Manifest;
    const { tasks, ...common } = config;
    const tags: KeyValue[] = [
      { key: 'westwind.id', value: id },
      { key: 'westwind.task', value: this.task },
    ];
    const about: KeyValue[] = [
      { key: 'westwind.version', value: westwind },
      { key: 'westwind.code', value: code },
      ...(commit === undefined ? [] : [{ key: 'westwind.commit', value: commit }]),
      { key: 'mlflow.source.name', value: 'westwind' },
      { key: 'mlflow.source.type', value: 'LOCAL' },
    ];
    const experiment = await client.experiment();
    const run =
      (await client.findRun(experiment, tags)) ??
      (await client.createRun(experiment, `${this.task} ${id}`, Date.parse(started), [...tags, ...about]));
    const { run_id, status } = run.info;
    const metrics = run.data.metrics ?? [];
    const there = new Set((run.data.params ?? []).map(({ key }) => key));
    const params = flatten({ ...common, ...tasks.find(({ name }) => name === this.task) });
    try {
      await client.logParams(
        run_id,
        params.filter(({ key }) => !there.has(key)),
      );
    } catch (error) {
      // An older server's limits are narrower; the figures are worth more than a parameter.
      if (!(error instanceof MlflowError) || error.code !== 'INVALID_PARAMETER_VALUE') throw error;
    }
    if (status !== 'RUNNING' && this.over === undefined) await client.setStatus(run_id, 'RUNNING');
    this.step = Number(metrics.find(({ key }) => key === LAST_OF_STEP)?.step ?? 0);
    this.read = 0;
    return { id: run_id, figures: new Map(metrics.map(({ key, value }) => [key, Number(value)])) };
  }

  /** The steps that were recorded since the last time, whole lines only. */
  private newSteps(): Metric[] {
    const path = this.path('train.jsonl');
    if (!existsSync(path)) return [];
    const { fd, size } = openRegular(path, constants.MAX_STRING_LENGTH);
    try {
      // A file that someone made shorter is read anew: steps that were sent are not sent again.
      if (size < this.read) this.read = 0;
      const bytes = Buffer.alloc(size - this.read);
      const text = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, this.read));
      const whole = text.subarray(0, text.lastIndexOf(10) + 1);
      this.read += whole.length;
      return whole
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => stepSchema.parse(parseJson(line, path)))
        .filter(({ step }) => step > this.step)
        .flatMap((record) => metricsOf(stepScalars(record), record.step, 1000 * record.time));
    } finally {
      closeSync(fd);
    }
  }

  private newFigures(there: ReadonlyMap<string, number>): Metric[] {
    if (this.result === undefined) return [];
    const { methods, training } = this.result;
    const { mtimeMs } = statSync(this.path('result.json'));
    return methods
      .flatMap((of) =>
        metricsOf(evalScalars(of), of.method === 'tuned' ? (training?.steps ?? 0) : 0, mtimeMs),
      )
      .filter(({ key, value }) => there.get(key) !== value);
  }

  private figures(): Scalars {
    const methods = this.result?.methods ?? [];
    return Object.fromEntries(methods.flatMap((of) => Object.entries(evalScalars(of))));
  }

  private writeReceipt(run_id: string): void {
    const { uri, experiment } = this.server;
    const receipt: Receipt = {
      tracking_uri: uri,
      experiment_name: experiment,
      run_id,
      figures: this.figures(),
    };
    writeFileAtomic(this.path('mlflow.json'), JSON.stringify(receipt, null, 2) + '\n');
  }

  private path(file: string): string {
    return join(this.folder, this.task, file);
  }
}

function metricsOf(scalars: Scalars, step: number, time: number): Metric[] {
  const timestamp = Math.round(time);
  return Object.entries(scalars).map(([key, value]) => ({ key, value, timestamp, step }));
}

/** Follows a process's events and tells the servers of what its records hold. Never throws, never keeps the process waiting. */
export class MlflowReports {
  private readonly folders = new Map<ResolvedConfig, string>();
  private readonly tasks = new Map<string, MlflowTask>();
  private readonly stop = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private working = Promise.resolve();
  private quietUntil = 0;
  private readonly told = new Set<string>();

  constructor(private readonly notice: (text: string) => void) {}

  /** `config`: of the run that the event is about. */
  see(event: TrackedEvent, config: ResolvedConfig): void {
    if (!config.report_to.includes('mlflow')) return;
    try {
      this.note(event, config);
    } catch (error) {
      this.tell(`MLflow: ${messageOf(error)}`);
    }
  }

  private note(event: TrackedEvent, config: ResolvedConfig): void {
    if (event.type === 'run') {
      this.folders.set(config, event.folder);
      return;
    }
    const task = this.taskOf(config, event.task);
    if (task === undefined) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.working = this.working.then(() => this.send());
    }, SEND_EVERY_MS);
    if (event.type === 'result') task.finish(event.result);
    else task.waiting = true;
  }

  /** Sends what is left, as far as the server lets it; `abort` ends it at once. */
  async end(outcome: Outcome): Promise<void> {
    clearTimeout(this.timer);
    const deadline = setTimeout(() => this.abort(), END_MS[outcome]);
    for (const task of this.tasks.values()) {
      if (task.over !== undefined) continue;
      task.over = outcome === 'stopped' ? 'KILLED' : 'FAILED';
      task.waiting = true;
    }
    await this.working;
    this.quietUntil = 0;
    await this.send();
    clearTimeout(deadline);
  }

  abort(): void {
    this.stop.abort(new Error('it did not answer in time'));
  }

  private taskOf(config: ResolvedConfig, name: string): MlflowTask | undefined {
    const server = mlflowServer(config);
    if (typeof server === 'string') {
      this.tell(server);
      return undefined;
    }
    const folder = this.folders.get(config)!;
    const key = join(folder, name);
    let task = this.tasks.get(key);
    if (task === undefined) this.tasks.set(key, (task = new MlflowTask(folder, name, server)));
    return task;
  }

  private async send(): Promise<void> {
    if (Date.now() < this.quietUntil) return;
    for (const task of [...this.tasks.values()].filter(({ waiting }) => waiting)) {
      try {
        await task.send(this.stop.signal);
      } catch (error) {
        const { uri } = task.server;
        const what = 'what it lacks is sent when it answers, or when the run is started again';
        this.tell(`MLflow at ${uri}: ${reasonOf(error)}; ${what}`, uri);
        this.quietUntil = Date.now() + QUIET_MS;
        return;
      }
    }
  }

  /** Once for each `about`. */
  private tell(text: string, about = text): void {
    if (this.told.has(about)) return;
    this.told.add(about);
    this.notice(masked(text).replace(/[\s\p{Cc}]+/gu, ' '));
  }
}

/** What lies beneath "fetch failed". */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return error instanceof DOMException && error.name === 'TimeoutError'
    ? 'it did not answer in time'
    : messageOf(error);
}
