/**
 * What a run's process does: the runs that it is given, all of one base model, which is loaded once. Each task's baselines are asked of
 * the untuned model; then it is trained, answers, and is scored. Whatever is done already (a checkpoint, some predictions, a whole task)
 * is found in the run's folder and not done again.
 */

import { join } from 'node:path';
import { createBackend } from '../../backends/select.js';
import { resolveModel } from '../../import/resolve.js';
import { loadModel } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { isAbort } from '../../util/abort.js';
import { writeIfChanged } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';
import { withChecks } from '../checks/index.js';
import { loadChecks, type LoadedCheck } from '../checks/load.js';
import type { LoadedConfig, ResolvedConfig, ResolvedTask } from '../config/index.js';
import { answer } from './answers.js';
import { tuningName, weightsHeldOf } from '../store/base-weights.js';
import { DataCache } from '../data/data-cache.js';
import type { RunEvent } from './events.js';
import { openRunFolder, recordFault, runPath, type RunFolder } from '../store/folder.js';
import { Fingerprinting } from '../store/fingerprints.js';
import { resultsTable, type TaskResult } from '../store/results.js';
import type { WorkerOrder } from './supervise.js';
import type { TaskData } from '../data/task-data.js';
import { trainUnits, type TrainingEnd } from './train-units.js';
import { isTrained, loadTuned } from './trained.js';
import { rivalFolders } from './rivals.js';
import { Reports } from './reports.js';
import { finishUnit, savedResult, startUnit, type Shared, type Unit } from './unit.js';
import { RUN_FILES, TASK_FILES } from '../store/layout.js';
import { summaryOf } from '../store/steps.js';

/** A run whose folder is held. */
interface OpenRun {
  readonly number: number;
  readonly config: ResolvedConfig;
  readonly folder: RunFolder;
  readonly tuning: string;
  /** The folders of runs that may stop it. */
  readonly rivals: readonly string[];
  /** By task. */
  readonly checks: ReadonlyMap<string, readonly LoadedCheck[]>;
  readonly results: Map<string, TaskResult>;
  faulty?: boolean;
}

export async function runJob(
  order: WorkerOrder,
  emit: (event: RunEvent) => void,
  signal: AbortSignal,
): Promise<'finished' | 'stopped'> {
  const { config } = order.runs[0]!;
  const options = order.threads === undefined ? {} : { threads: order.threads };
  const { backend, notice } = await createBackend(config.device, options);
  if (notice !== undefined) emit({ type: 'notice', text: notice });
  let modelFolder: string;
  try {
    modelFolder = await resolveModel(config.model_name_or_path, { revision: config.revision, signal });
  } catch (error) {
    if (signal.aborted) return 'stopped';
    throw error;
  }
  const tokenizer = Tokenizer.load(modelFolder);
  const reports = new Reports('computing', (text) => emit({ type: 'notice', text }));
  const cache = new DataCache(tokenizer, signal, (task, done, total) =>
    emit({ type: 'encoding', task, done, total }),
  );
  const shared = { backend, modelFolder, tokenizer, cache, emit, reports, signal };
  const runs: OpenRun[] = [];
  try {
    const fingerprints = new Fingerprinting(modelFolder, backend);
    for (const [number, loaded] of order.runs.entries()) {
      const run = await open(loaded, number);
      if (run) runs.push(run);
    }
    // Runs of a study go side by side, the tasks of one run one after the other.
    const parts = order.study ? [runs.flatMap(tasksOf)] : runs.flatMap(tasksOf).map((part) => [part]);
    const job = new Job(shared, order);
    try {
      for (const part of parts) {
        try {
          if (!(await job.work(part))) return 'stopped';
        } catch (error) {
          if (isAbort(error, signal)) return 'stopped';
          // Of a study it stands in the folder already of the run whose fault it is.
          if (error instanceof UserError && !order.study)
            for (const [{ folder }] of part) recordFault(folder.path, error.message);
          throw error;
        }
      }
    } finally {
      job.dispose();
    }
    return 'finished';

    /** Undefined for a run that is another one under another name, or of a study that cannot be held. */
    async function open(loaded: LoadedConfig, number: number): Promise<OpenRun | undefined> {
      try {
        // A check that cannot be loaded is told before anything is computed.
        const checks = new Map<string, readonly LoadedCheck[]>();
        for (const task of loaded.config.tasks) checks.set(task.name, await loadChecks(task));
        const prints = await fingerprints.of(loaded);
        const path = runPath(loaded, prints);
        const rivals = await rivalFolders(loaded, order, fingerprints);
        const held = weightsHeldOf(loaded.config.weights, modelFolder);
        const tuning = tuningName(loaded.config, held);
        const finished = RUN_FILES.results.isIn(path);
        const twin = runs.some(({ folder }) => folder.path === path);
        const folder = twin ? undefined : openRunFolder(loaded, prints, backend, held);
        emit({ type: 'run', run: number, folder: path, finished, tuning });
        return (
          folder && { number, config: loaded.config, folder, tuning, rivals, checks, results: new Map() }
        );
      } catch (error) {
        if (!order.study || order.failFast || !(error instanceof UserError)) throw error;
        emit({ type: 'fault', run: number, message: error.message });
        return undefined;
      }
    }
  } finally {
    for (const { folder } of runs) folder.release();
  }
}

type TaskOfRun = readonly [OpenRun, ResolvedTask];

function tasksOf(run: OpenRun): TaskOfRun[] {
  return run.config.tasks.map((task) => [run, task]);
}

/** Whether every weight is trained. */
function isWhole({ settings }: Unit): boolean {
  return settings.lora === false;
}

/** The work on tasks over a model that is loaded when it is first needed. */
class Job {
  private loaded: { readonly model: CausalLM; readonly trainable: boolean } | undefined;

  constructor(
    private readonly shared: Shared,
    private readonly order: WorkerOrder,
  ) {}

  /** Everything that is missing of these tasks. False when the signal came first. */
  async work(tasks: readonly TaskOfRun[]): Promise<boolean> {
    const units: [OpenRun, Unit][] = [];
    for (const [run, settings] of tasks) {
      await this.guarded(run, async () => {
        const { number, config, folder } = run;
        const path = join(folder.path, settings.name);
        const saved = savedResult(path);
        if (saved) await this.finished(run, settings, saved);
        else {
          const rivals = run.rivals.map((rival) => join(rival, settings.name));
          const parts = { run: number, config, settings, folder: path, rivals };
          units.push([run, await startUnit(this.shared, parts)]);
        }
        return true;
      });
    }
    for (const [run, unit] of units) if (!(await this.guarded(run, () => this.baselines(unit)))) return false;
    const finish = ([run, unit]: readonly [OpenRun, Unit]): Promise<boolean> =>
      this.guarded(run, async () => {
        if (unit.settings.tune && !(await this.answerTuned(unit))) return false;
        if (this.shared.signal.aborted) return false;
        await this.finished(run, unit.settings, finishUnit(unit));
        return true;
      });
    const untrained = ([, unit]: readonly [OpenRun, Unit]): boolean => unit.settings.tune && !isTrained(unit);
    for (const one of units) if (!untrained(one) && !(await finish(one))) return false;
    let waiting = units.filter(untrained);
    while (waiting.length > 0) {
      const ends = await this.train(waiting.filter(([run]) => !run.faulty));
      if (ends === undefined) return false;
      for (const one of waiting) {
        const end = ends.get(one[1]);
        if (end instanceof UserError) await this.guarded(one[0], () => Promise.reject(end));
        else if (end !== undefined && !(await finish(one))) return false;
      }
      waiting = waiting.filter(([run, unit]) => !ends.has(unit) && !run.faulty);
    }
    return true;
  }

  /** Trains some, the first at least. Undefined when the signal came first. */
  private async train(
    waiting: readonly (readonly [OpenRun, Unit])[],
  ): Promise<ReadonlyMap<Unit, TrainingEnd> | undefined> {
    const units = waiting.map(([, unit]) => unit);
    if (units.length === 0) return new Map();
    const first = units[0]!;
    // A model that is trained whole is trained alone, and what it may stop does not come before it.
    const whole = isWhole(first);
    const next = first.config.search?.halving ? units.findIndex(isWhole) : -1;
    const together = whole
      ? [first]
      : (next < 0 ? units : units.slice(0, next)).filter((unit) => !isWhole(unit));
    try {
      const ends = await trainUnits(this.shared, together, await this.model(first));
      return [...ends.values()].includes('stopped') ? undefined : ends;
    } catch (error) {
      if (!(error instanceof UserError) || !this.order.study) throw error;
      // What fails together, for want of memory say, may go alone; and alone it is known whose fault it is.
      if (together.length === 1) return new Map([[first, error]]);
      const ends = new Map<Unit, TrainingEnd>();
      for (const one of waiting.filter(([, unit]) => together.includes(unit) && !isTrained(unit))) {
        const alone = await this.train([one]);
        if (alone === undefined) return undefined;
        for (const [unit, end] of alone) ends.set(unit, end);
      }
      return ends;
    } finally {
      // It is another model now.
      if (whole) this.dispose();
    }
  }

  dispose(): void {
    this.loaded?.model.dispose();
    this.loaded = undefined;
  }

  private async baselines(unit: Unit): Promise<boolean> {
    for (const method of unit.settings.baselines) {
      const result = await answer(this.shared, unit, await this.model(unit), method);
      if (!result) return false;
      unit.methods.push(result);
    }
    return true;
  }

  private async answerTuned(unit: Unit): Promise<boolean> {
    unit.training = summaryOf(
      TASK_FILES.steps.read(unit.folder),
      TASK_FILES.evaluations.read(unit.folder),
      unit.settings.training,
      TASK_FILES.rungs.read(unit.folder),
    );
    if (!unit.settings.test || unit.training.stopped_by) return true;
    const tuned = await loadTuned(this.shared, unit, () => this.model(unit));
    try {
      const result = await answer(this.shared, unit, tuned.model, 'tuned');
      if (result) unit.methods.push(result);
      return result !== undefined;
    } finally {
      tuned.dispose();
    }
  }

  /** The untuned model; its weights in a form that can be trained where the unit trains them whole. */
  private async model({ config, settings }: Unit): Promise<CausalLM> {
    const trainable = settings.lora === false && settings.tune;
    if (this.loaded?.trainable !== trainable) {
      this.dispose();
      const options = { ...config.weights, trainable };
      this.loaded = {
        model: await loadModel(this.shared.backend, this.shared.modelFolder, options),
        trainable,
      };
    }
    return this.loaded.model;
  }

  /** Of a study's run that fails, the fault is kept in its folder, and there is nothing more to do for it. */
  private async guarded(run: OpenRun, work: () => Promise<boolean>): Promise<boolean> {
    if (run.faulty) return true;
    try {
      return await work();
    } catch (error) {
      const { study, failFast } = this.order;
      if (study && error instanceof UserError) recordFault(run.folder.path, error.message);
      if (!study || failFast || !(error instanceof UserError)) throw error;
      run.faulty = true;
      run.folder.release();
      this.shared.emit({ type: 'fault', run: run.number, message: error.message });
      return true;
    }
  }

  /** What is done with a task's result, a new one or one that stood there: checks, and telling of it. */
  private async finished(run: OpenRun, settings: ResolvedTask, result: TaskResult): Promise<void> {
    const { number, config, folder, tuning, results } = run;
    const path = join(folder.path, settings.name);
    const data = (): Promise<TaskData> => this.shared.cache.data(settings, config.seed);
    const checked = await withChecks(result, run.checks.get(settings.name)!, settings, path, data);
    this.shared.reports.see(config, folder.path, settings.name, checked);
    results.set(result.task, checked);
    this.shared.emit({ type: 'result', run: number, task: result.task, result: checked });
    if (results.size < config.tasks.length) return;
    const all = config.tasks.map((task) => results.get(task.name)!);
    // Those of a finished run are written again where it is checked for something else.
    writeIfChanged(join(folder.path, RUN_FILES.table), resultsTable(all, tuning) + '\n');
    RUN_FILES.results.update(folder.path, all);
    folder.release();
  }
}
