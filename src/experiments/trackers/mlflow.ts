/**
 * Tells an MLflow server of runs (`report_to: [mlflow]`). It works in the process that shows a run, beside the one that computes, and
 * reads the run's own records: a server that is slow or away costs the run nothing, and what it misses is sent when it answers again, at
 * the end, or when the run is started again. What the server has already is asked of the server itself, so that nothing is told twice.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { writeFileAtomic } from '../../util/atomic.js';
import { messageOf } from '../../util/errors.js';
import { readChecked } from '../../util/json.js';
import { masked } from '../../util/secrets.js';
import {
  flatten,
  MlflowClient,
  MlflowError,
  type KeyValue,
  type LoggedMetric,
  type MlflowServer,
  type RunStatus,
} from './mlflow-client.js';
import { mlflowServer } from './mlflow-server.js';
import type { ScalarEvent, Scalars, Tracker, TrackedTask, TrackingEnd } from './tracker.js';

const SEND_EVERY_MS = 2000;
/** After a failure the server is left alone for so long, but for a last attempt at the end. */
const QUIET_MS = 30_000;
/** The most that the end of a process waits for the server. */
const END_MS: Readonly<Record<TrackingEnd, number>> = { finished: 15_000, stopped: 5000, failed: 3000 };

const receiptSchema = z.looseObject({
  tracking_uri: z.string(),
  experiment_name: z.string(),
  run_id: z.string(),
  figures: z.record(
    z.string(),
    z
      .number()
      .nullable()
      .transform((x) => x ?? Number.NaN),
  ),
});

/** In a task's folder: that the server has all of a finished task. */
export const RECEIPT = 'mlflow.json';

/** Throws UserError for a damaged one. */
export function readReceipt(folder: string): z.infer<typeof receiptSchema> | undefined {
  const path = join(folder, RECEIPT);
  return existsSync(path) ? readChecked(path, receiptSchema, 'the server is asked what it has') : undefined;
}

/** A task of a run as a run of the server's. */
class MlflowTask {
  /** Something is there that was not sent. */
  waiting = false;
  /** What the server is to be told at the end. */
  over: RunStatus | undefined;
  private known: { readonly id: string; readonly figures: Map<string, number> } | undefined;
  /** The last step that the server has, the step of its last evaluation, and the records of steps read so far. */
  private step = 0;
  private evaluated = 0;
  private read = 0;

  constructor(
    private readonly task: TrackedTask,
    readonly server: MlflowServer,
  ) {}

  /** Something was recorded. Throws UserError for a damaged receipt, which is written anew. */
  see(): void {
    // Until the receipt says otherwise; it may be damaged.
    this.waiting = true;
    if (!this.task.finished) return;
    this.over = 'FINISHED';
    const receipt = readReceipt(this.task.folder);
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
      const steps = this.newSteps();
      const evaluations = this.newEvaluations();
      const metrics = [...steps, ...evaluations, ...this.newFigures(figures)];
      await client.logMetrics(id, metrics);
      for (const { key, value } of metrics) figures.set(key, value);
      this.step = steps.at(-1)?.step ?? this.step;
      this.evaluated = evaluations.at(-1)?.step ?? this.evaluated;
      if (this.over) await client.setStatus(id, this.over, Date.now());
      this.waiting = false;
      if (this.over === 'FINISHED') this.writeReceipt(id);
    } catch (error) {
      this.known = undefined;
      throw error;
    }
  }

  private async find(client: MlflowClient): Promise<NonNullable<MlflowTask['known']>> {
    const { id, started, code, commit, westwind, settings } = this.task.about();
    const { name } = this.task;
    const tags: KeyValue[] = [
      { key: 'westwind.id', value: id },
      { key: 'westwind.task', value: name },
    ];
    const about: KeyValue[] = [
      { key: 'westwind.version', value: westwind },
      ...(code === undefined ? [] : [{ key: 'westwind.code', value: code }]),
      ...(commit === undefined ? [] : [{ key: 'westwind.commit', value: commit }]),
      { key: 'mlflow.source.name', value: 'westwind' },
      { key: 'mlflow.source.type', value: 'LOCAL' },
    ];
    const experiment = await client.experiment();
    const run =
      (await client.findRun(experiment, tags)) ??
      (await client.createRun(experiment, `${name} ${id}`, Date.parse(started), [...tags, ...about]));
    const { run_id, status } = run.info;
    const metrics = run.data.metrics ?? [];
    const there = new Set((run.data.params ?? []).map(({ key }) => key));
    const params = flatten(settings);
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
    const lastOf = (figure: string | undefined): number =>
      Number(metrics.find(({ key }) => key === figure)?.step ?? 0);
    this.step = lastOf(this.task.stepFigures.at(-1));
    this.evaluated = lastOf(this.task.evaluationFigure);
    this.read = 0;
    return { id: run_id, figures: new Map(metrics.map(({ key, value }) => [key, Number(value)])) };
  }

  /** The steps that were recorded since the last time. */
  private newSteps(): LoggedMetric[] {
    const { events, end } = this.task.steps(this.read);
    this.read = end;
    // Of a file that someone made shorter all are read anew: steps that were sent are not sent again.
    return events.filter(({ step }) => step > this.step).flatMap(metricsOf);
  }

  private newEvaluations(): LoggedMetric[] {
    return this.task
      .evaluations()
      .filter(({ step }) => step > this.evaluated)
      .flatMap(metricsOf);
  }

  private newFigures(there: ReadonlyMap<string, number>): LoggedMetric[] {
    return this.task
      .figures()
      .flatMap(metricsOf)
      .filter(({ key, value }) => there.get(key) !== value);
  }

  private figures(): Scalars {
    return Object.assign({}, ...this.task.figures().map(({ scalars }) => scalars)) as Scalars;
  }

  private writeReceipt(run_id: string): void {
    const { uri, experiment } = this.server;
    const receipt: z.infer<typeof receiptSchema> = {
      tracking_uri: uri,
      experiment_name: experiment,
      run_id,
      figures: this.figures(),
    };
    writeFileAtomic(join(this.task.folder, RECEIPT), JSON.stringify(receipt, null, 2) + '\n');
  }
}

function metricsOf({ scalars, step, wallTime }: ScalarEvent): LoggedMetric[] {
  const timestamp = Math.round(1000 * wallTime);
  return Object.entries(scalars).map(([key, value]) => ({ key, value, timestamp, step }));
}

/** Tells the servers of what runs' records hold. Never throws, never keeps the process waiting. */
export class MlflowReports implements Tracker {
  private readonly tasks = new Map<string, MlflowTask>();
  private readonly stop = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private working = Promise.resolve();
  private quietUntil = 0;
  private readonly told = new Set<string>();

  constructor(private readonly notice: (text: string) => void) {}

  see(tracked: TrackedTask): void {
    try {
      const task = this.taskOf(tracked);
      if (task === undefined) return;
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.working = this.working.then(() => this.send());
      }, SEND_EVERY_MS);
      task.see();
    } catch (error) {
      this.tell(`MLflow: ${messageOf(error)}`);
    }
  }

  /** Sends what is left, as far as the server lets it; `abort` ends it at once. */
  async end(outcome: TrackingEnd): Promise<void> {
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

  private taskOf(tracked: TrackedTask): MlflowTask | undefined {
    const server = mlflowServer(tracked.trackers);
    if (typeof server === 'string') {
      this.tell(server);
      return undefined;
    }
    let task = this.tasks.get(tracked.folder);
    if (task === undefined) this.tasks.set(tracked.folder, (task = new MlflowTask(tracked, server)));
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
