/**
 * A run computes in a child process: a crash in native code or a kill ends one attempt, not the program that shows it. Events come by
 * the channel between the two; when that breaks, the child saves and ends.
 */

import { fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../util/errors.js';
import { loadConfig, type ConfigInMemory, type LoadedConfig, type LoadOptions } from '../config/index.js';
import type { RunEvent } from './events.js';
import { Reports } from './reports.js';

/** What the child is told to do. */
export interface WorkerOrder {
  /** Of one base model in one form on one device. */
  readonly runs: readonly LoadedConfig[];
  /** Of the same study: nothing is done for them, but what is done may depend on how far they came. */
  readonly others?: readonly LoadedConfig[] | undefined;
  /** The runs are of a study: a fault of one is its own, is kept in its folder, and the others go on. */
  readonly study: boolean;
  /** A study's first fault ends it. */
  readonly failFast?: boolean | undefined;
  readonly threads?: number | undefined;
  /** Say what the runs will take, and do nothing. */
  readonly plan?: boolean | undefined;
}

/** A run in its child process, as its parent holds it. */
export interface Supervision {
  /** Resolves when the child has ended; rejects with its error, or with how it died. */
  readonly done: Promise<'finished' | 'stopped'>;
  /** Asks the child to save and end. */
  stop(): void;
  /** Ends it at once; what was saved stays. */
  kill(): void;
}

/** A process that died without a word of its own. */
export class ProcessDeath extends UserError {}

/** A run to start: its configuration by a file's path, or in memory. */
export type RunOrder = ({ readonly configPath: string } | ConfigInMemory) &
  LoadOptions & {
    readonly threads?: number | undefined;
    /** Aborting is as `stop()`: what is under way is saved, and `done` is 'stopped'. */
    readonly signal?: AbortSignal | undefined;
  };

/** Starts the run of a configuration. Throws UserError where the configuration has faults, or is a study. */
export function superviseRun(
  order: RunOrder,
  onEvent: (event: RunEvent) => void = () => undefined,
): Supervision {
  const { threads, signal, settings = [] } = order;
  const config = loadConfig('configPath' in order ? order.configPath : order, { settings });
  if (signal?.aborted)
    return { done: Promise.resolve('stopped'), stop: () => undefined, kill: () => undefined };
  const run = superviseWorker({ runs: [config], study: false, threads }, onEvent);
  const stop = (): void => run.stop();
  signal?.addEventListener('abort', stop, { once: true });
  const done = run.done.finally(() => signal?.removeEventListener('abort', stop));
  return { ...run, done };
}

export function superviseWorker(order: WorkerOrder, onEvent: (event: RunEvent) => void): Supervision {
  const here = fileURLToPath(import.meta.url);
  const worker = fileURLToPath(new URL(`./worker${extname(here)}`, import.meta.url));
  const child = fork(worker, [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Not the parent's own flags: under `node -e` those would run the parent's script again.
    execArgv: extname(here) === '.ts' ? ['--import', import.meta.resolve('tsx')] : [],
  });
  const reports = new Reports('showing', (text) => onEvent({ type: 'notice', text }));
  const done = new Promise<'finished' | 'stopped'>((resolve, reject) => {
    let last: RunEvent | undefined;
    const folders = new Map<number, string>();
    child.on('message', (message) => {
      last = message as RunEvent;
      tell(reports, last, order, folders);
      onEvent(last);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      void reports.end(last?.type === 'end' ? last.outcome : 'failed').then(() => {
        if (last?.type === 'end') resolve(last.outcome);
        else if (last?.type === 'failed') reject(failure(last));
        else reject(new ProcessDeath(death(code, signal)));
      });
    });
  });
  // A child that died before it could listen is told of by its exit.
  child.send(order, () => undefined);
  return {
    done,
    stop: () => {
      if (child.connected) child.send('stop');
    },
    kill: () => {
      reports.abort();
      child.kill('SIGKILL');
    },
  };
}

/** Tells who is told by this process. `folders`: of the runs by their numbers, as far as they are known. */
function tell(reports: Reports, event: RunEvent, { runs }: WorkerOrder, folders: Map<number, string>): void {
  if (event.type === 'run') folders.set(event.run, event.folder);
  if (!('run' in event && 'task' in event) || event.type === 'notice' || event.type === 'answers') return;
  const result = event.type === 'result' ? event.result : undefined;
  reports.see(runs[event.run]!.config, folders.get(event.run)!, event.task, result);
}

function failure({ message, stack }: RunEvent & { type: 'failed' }): Error {
  if (stack === undefined) return new UserError(message.split('\n'));
  const error = new Error(message);
  error.stack = stack;
  return error;
}

function death(code: number | null, signal: string | null): string {
  const how = signal === null ? `ended with code ${code ?? '?'}` : `was ended by ${signal}`;
  const why = signal === 'SIGKILL' ? ' (by someone, or by the system because memory ran out)' : '';
  return `the run's process ${how}${why}; what was done is saved: the same command goes on from there`;
}
