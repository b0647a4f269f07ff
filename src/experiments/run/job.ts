/**
 * What a run's process does: the runs that it is given, all of one base model, which is loaded once. Each task's baselines are asked of
 * the untuned model; then it is trained, answers, and is scored. Whatever is done already (a checkpoint, some predictions, a whole task)
 * is found in the run's folder and not done again.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createBackend } from '../../backends/select.js';
import { resolveModel } from '../../files/index.js';
import { loadModel, readJson } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { writeFileAtomic } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';
import type { LoadedConfig, ResolvedConfig } from '../config/index.js';
import { answer } from './answers.js';
import { DataCache } from './data-cache.js';
import type { RunEvent } from './events.js';
import { Fingerprinting, openRunFolder, recordFault, runPath, type RunFolder } from './folder.js';
import { resultsTable, type TaskResult } from './results.js';
import type { WorkerOrder } from './supervise.js';
import { isTrained, loadTuned, trainingSummary, trainUnit } from './training.js';
import { addResult, finishUnit, savedResult, startUnit, type Shared, type Unit } from './unit.js';

/** A run whose folder is held. */
interface OpenRun {
  readonly number: number;
  readonly config: ResolvedConfig;
  readonly folder: RunFolder;
  readonly tuning: string;
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
  const modelFolder = await resolveModel(config.model_name_or_path, { revision: config.revision });
  const tokenizer = Tokenizer.load(modelFolder);
  const shared = { backend, modelFolder, tokenizer, cache: new DataCache(tokenizer), emit, signal };
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
      for (const part of parts) if (!(await job.work(part))) return 'stopped';
    } finally {
      job.dispose();
    }
    return 'finished';

    /** Undefined for a run that is another one under another name, or of a study that cannot be held. */
    async function open(loaded: LoadedConfig, number: number): Promise<OpenRun | undefined> {
      try {
        const prints = await fingerprints.of(loaded);
        const path = runPath(loaded, prints);
        const tuning = tuningName(loaded.config, modelFolder);
        const finished = existsSync(join(path, 'results.json'));
        const twin = runs.some(({ folder }) => folder.path === path);
        const folder = twin ? undefined : openRunFolder(loaded, prints, backend);
        emit({ type: 'run', run: number, folder: path, finished, tuning });
        return folder && { number, config: loaded.config, folder, tuning, results: new Map() };
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

type TaskOfRun = readonly [OpenRun, ResolvedConfig['tasks'][number]];

function tasksOf(run: OpenRun): TaskOfRun[] {
  return run.config.tasks.map((task) => [run, task]);
}

/** What the tables call the tuned model: QLoRA over weights that are quantized on loading or were before. */
function tuningName({ tasks, weights }: ResolvedConfig, modelFolder: string): string {
  if (tasks.every((t) => t.lora === false)) return 'fine-tuned';
  const stored = readJson(join(modelFolder, 'config.json'))['quantization_config'];
  return weights.quantization === undefined && stored == null ? 'LoRA' : 'QLoRA';
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
        const saved = savedResult(path, config);
        if (saved) this.finished(run, saved);
        else units.push([run, await startUnit(this.shared, { run: number, config, settings, folder: path })]);
        return true;
      });
    }
    try {
      return await this.workOn(units);
    } finally {
      for (const [, unit] of units) unit.reports.close();
    }
  }

  private async workOn(units: readonly (readonly [OpenRun, Unit])[]): Promise<boolean> {
    for (const [run, unit] of units) if (!(await this.guarded(run, () => this.baselines(unit)))) return false;
    for (const [run, unit] of units) {
      const done = await this.guarded(run, async () => {
        if (unit.settings.tune && !(await this.tune(unit))) return false;
        if (this.shared.signal.aborted) return false;
        this.finished(run, finishUnit(unit));
        return true;
      });
      if (!done) return false;
    }
    return true;
  }

  dispose(): void {
    this.loaded?.model.dispose();
    this.loaded = undefined;
  }

  private async baselines(unit: Unit): Promise<boolean> {
    for (const method of unit.settings.baselines) {
      const result = await answer(this.shared, unit, await this.model(unit), method);
      if (!result) return false;
      addResult(unit, result);
    }
    return true;
  }

  private async tune(unit: Unit): Promise<boolean> {
    const { shared } = this;
    if (!isTrained(unit)) {
      if (!(await trainUnit(shared, unit, await this.model(unit)))) return false;
      // A model that was trained whole is another one now.
      if (unit.settings.lora === false) this.dispose();
    }
    unit.training = trainingSummary(unit);
    if (!unit.settings.test) return true;
    const tuned = await loadTuned(shared, unit, () => this.model(unit));
    try {
      const result = await answer(shared, unit, tuned.model, 'tuned');
      if (result) addResult(unit, result);
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
      if (!study || failFast || !(error instanceof UserError)) throw error;
      recordFault(run.folder.path, error.message);
      run.faulty = true;
      run.folder.release();
      this.shared.emit({ type: 'fault', run: run.number, message: error.message });
      return true;
    }
  }

  private finished(run: OpenRun, result: TaskResult): void {
    const { number, config, folder, tuning, results } = run;
    results.set(result.task, result);
    this.shared.emit({ type: 'result', run: number, task: result.task, result });
    if (results.size < config.tasks.length) return;
    const path = join(folder.path, 'results.json');
    if (!existsSync(path)) {
      const all = config.tasks.map((task) => results.get(task.name)!);
      writeFileAtomic(join(folder.path, 'report.md'), resultsTable(all, tuning) + '\n');
      writeFileAtomic(path, JSON.stringify(all, null, 2) + '\n');
    }
    folder.release();
  }
}
