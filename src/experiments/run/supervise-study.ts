/**
 * A study's runs, a process for those of one base model. A fault of one run, or a process that dies, costs that run and not the study:
 * what was under way when a process died is tried once more, alone, and given up when that dies, too.
 */

import { UserError } from '../../util/errors.js';
import { canonicalJson, type Study, type StudyRun } from '../config/index.js';
import type { RunForecast } from '../plan/index.js';
import type { RunEvent } from './events.js';
import { recordFault } from '../store/folder.js';
import type { TaskResult } from '../store/results.js';
import { ProcessDeath, superviseWorker, type Supervision } from './supervise.js';

/** What is known of a run. */
export interface StudyRunState {
  readonly run: StudyRun;
  folder?: string;
  tuning?: string;
  result?: TaskResult;
  fault?: string;
}

export interface StudySupervision extends Supervision {
  /** By the runs' numbers. */
  readonly states: readonly StudyRunState[];
}

export interface StudyOptions {
  /** End with the first fault. */
  readonly failFast?: boolean | undefined;
  readonly threads?: number | undefined;
}

/** Starts a study. Events carry the numbers of its runs. */
export function superviseStudy(
  study: Study,
  { failFast, threads }: StudyOptions,
  onEvent: (event: RunEvent) => void,
): StudySupervision {
  const states: StudyRunState[] = study.runs.map((run) => ({ run }));
  let worker: Supervision | undefined;
  /** Set from outside while the work waits. */
  const asked = { toStop: false };

  const fail = (run: number, message: string): void => {
    const state = states[run]!;
    state.fault = message;
    if (state.folder !== undefined) recordFault(state.folder, message);
    onEvent({ type: 'fault', run, message });
  };
  const ended = ({ result, fault }: StudyRunState): boolean => result !== undefined || fault !== undefined;

  /** One process for these runs; those that were under way when it died. */
  const attempt = async (runs: readonly number[]): Promise<{ died?: string; underWay: number[] }> => {
    const underWay = new Set<number>();
    const others = study.runs.filter(({ config }, run) => config.search?.halving && !runs.includes(run));
    worker = superviseWorker(
      { runs: runs.map((run) => study.runs[run]!), others, study: true, failFast, threads },
      (event) => {
        const global = 'run' in event ? { ...event, run: runs[event.run]! } : event;
        note(states, global, underWay);
        if (global.type !== 'end' && global.type !== 'failed') onEvent(global);
      },
    );
    try {
      if ((await worker.done) === 'stopped') asked.toStop = true;
      return { underWay: [] };
    } catch (error) {
      if (asked.toStop || failFast === true) throw error;
      if (error instanceof UserError && !(error instanceof ProcessDeath)) {
        // Nothing could begin: a model that does not load, a device that is missing.
        for (const run of runs) if (!ended(states[run]!)) fail(run, error.message);
        return { underWay: [] };
      }
      const died = error instanceof ProcessDeath ? error.message : ((error as Error).stack ?? String(error));
      return { died, underWay: [...underWay] };
    }
  };

  const work = async (): Promise<'finished' | 'stopped'> => {
    for (const group of processGroups(study.runs)) {
      let waiting: number[] = group;
      while (waiting.length > 0 && !asked.toStop) {
        const { died, underWay } = await attempt(waiting);
        if (died !== undefined && underWay.length === 0) for (const run of waiting) fail(run, died);
        if (died !== undefined) await alone(underWay);
        waiting = died === undefined ? [] : waiting.filter((run) => !ended(states[run]!));
      }
    }
    joinTwins(states);
    return asked.toStop ? 'stopped' : 'finished';
  };

  /** Each in a process of its own: one that dies again is given up. */
  const alone = async (runs: readonly number[]): Promise<void> => {
    for (const run of runs) {
      if (asked.toStop || ended(states[run]!)) continue;
      const { died } = await attempt([run]);
      if (died !== undefined) fail(run, died);
    }
  };

  return {
    states,
    done: work(),
    stop: () => {
      asked.toStop = true;
      worker?.stop();
    },
    kill: () => {
      asked.toStop = true;
      worker?.kill();
    },
  };
}

function note(states: readonly StudyRunState[], event: RunEvent, underWay: Set<number>): void {
  if (!('run' in event)) return;
  const state = states[event.run]!;
  switch (event.type) {
    case 'run':
      state.folder = event.folder;
      state.tuning = event.tuning;
      break;
    case 'stage':
      underWay.add(event.run);
      break;
    case 'result':
      state.result = event.result;
      underWay.delete(event.run);
      break;
    case 'fault':
      state.fault = event.message;
      underWay.delete(event.run);
      break;
    case 'notice':
    case 'step':
    case 'evaluation':
    case 'answers':
  }
}

/** Runs that turned out to be the same one have its result. */
function joinTwins(states: readonly StudyRunState[]): void {
  for (const state of states) {
    if (state.folder === undefined) continue;
    const done = states.find((other) => other.folder === state.folder && other.result !== undefined);
    if (state.result === undefined && done?.result) state.result = done.result;
  }
}

/** The numbers of runs that can share a process: of one base model in one form on one device. */
function processGroups(runs: readonly StudyRun[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [number, { config }] of runs.entries()) {
    const { model_name_or_path, revision, device, weights } = config;
    const key = canonicalJson([model_name_or_path, revision, device, weights]);
    groups.set(key, [...(groups.get(key) ?? []), number]);
  }
  return [...groups.values()];
}

/**
 * Plans of a study's runs, by their numbers, made in processes that end with them. A fault is its run's own, as it is when that is done.
 * Throws UserError where none can be planned.
 */
export async function planStudy(study: Study, threads: number | undefined): Promise<RunForecast[]> {
  const plans: RunForecast[] = [];
  for (const group of processGroups(study.runs)) {
    const runs = group.map((run) => study.runs[run]!);
    const { done } = superviseWorker({ runs, study: true, threads, plan: true }, (event) => {
      if (event.type === 'plan') for (const [i, plan] of event.plans.entries()) plans[group[i]!] = plan;
    });
    try {
      await done;
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof ProcessDeath) throw error;
      for (const run of group) plans[run] = { fault: error.message };
    }
  }
  refuseHopeless(plans);
  return plans;
}

/** Throws UserError, with each cause once, where no run of a study can be planned. */
export function refuseHopeless(plans: readonly RunForecast[]): void {
  const faults = plans.flatMap((plan) => ('fault' in plan ? plan.fault.split('\n') : []));
  if (plans.every((plan) => 'fault' in plan)) throw new UserError([...new Set(faults)]);
}
