/** Training tasks of runs, side by side where they can be, and finding again what an earlier attempt trained. */

import { join } from 'node:path';
import { createLora, type LoraAdapter } from '../../adapters/lora.js';
import { loadAdapter, readAdapter, readAdapterConfig, saveAdapter } from '../../adapters/peft.js';
import { ownTargets, targetModules } from '../../adapters/targets.js';
import type { Block } from '../../data/index.js';
import { familyOf } from '../../models/families/index.js';
import { readModelJson } from '../../models/config.js';
import { loadModel } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { saveModel } from '../../models/save.js';
import { unpackWeights } from '../../models/unpacked.js';
import { totalSteps, type TrainingArguments } from '../../train/arguments.js';
import { trainTogether, type StepRecord, type Training } from '../../train/trainer.js';
import { UserError } from '../../util/errors.js';
import { canonicalJson } from '../config/index.js';
import { writeInspected } from './inspected.js';
import type { LoggedStep } from '../store/steps.js';
import { fitTogether, roomOf } from '../plan/fit.js';
import { RecordWriter } from '../store/records.js';
import { describeRow } from '../data/task-data.js';
import { tellRecorded, type Shared, type Unit } from './unit.js';
import { TASK_FILES } from '../store/layout.js';

export function isTrained({ folder }: Unit): boolean {
  return TASK_FILES.trained.isIn(folder);
}

function savedPath({ folder, settings }: Unit): string {
  return join(folder, settings.lora === false ? TASK_FILES.model : TASK_FILES.adapter);
}

/** The tuned model over `base`, as it was saved; disposing takes the adapter off, or frees the model that was trained whole. */
export async function loadTuned(
  { backend }: Shared,
  unit: Unit,
  base: () => Promise<CausalLM>,
): Promise<{ readonly model: CausalLM; dispose(): void }> {
  const saved = savedPath(unit);
  if (unit.settings.lora === false) {
    const model = await loadModel(backend, saved, { dtype: 'f32' });
    return { model, dispose: () => model.dispose() };
  }
  const model = await base();
  const adapter = loadAdapter(model, saved);
  return { model, dispose: () => adapter.dispose() };
}

/** How the training of a unit ended; a UserError: what ended it. */
export type TrainingEnd = 'finished' | 'stopped' | UserError;

/** A training, and others whose every step is one of its own: they are what it was after their last one. */
interface NestedTrainings {
  readonly leader: UnitTraining;
  readonly shorter: readonly UnitTraining[];
}

/** A unit that is to be trained. */
interface UnitTraining {
  readonly unit: Unit;
  readonly blocks: readonly Block[];
  /** What there is to say about them. */
  readonly notices: readonly string[];
  readonly steps: number;
}

/**
 * Trains the first of `units`, with as many of the others beside it as memory allows, and saves what was trained; the model is as it was
 * afterwards, but for one that is trained whole.
 * @returns how each ended; those that had no room are not among them
 */
export async function trainUnits(
  shared: Shared,
  units: readonly Unit[],
  model: CausalLM,
): Promise<Map<Unit, TrainingEnd>> {
  const { backend, cache, modelFolder, signal } = shared;
  const { weights } = units[0]!.config;
  const ends = new Map<Unit, TrainingEnd>();
  const all: UnitTraining[] = [];
  for (const unit of units) {
    const packed = await cache.blocks(unit.data, unit.settings);
    all.push({ unit, ...packed, steps: totalSteps(packed.blocks.length, lasting(unit)) });
  }
  const nested = nestedOf(all);
  const fit = await fitTogether(
    backend,
    { model: readModelJson(join(modelFolder, 'config.json')), weights },
    nested.map(({ leader: { unit, blocks } }) => ({
      lora: unit.settings.lora,
      training: unit.settings.training,
      blocks,
    })),
    roomOf(backend),
  );
  const chosen = nested.slice(0, fit.trainings.length);
  const unpacked = unpackWeights(model, fit.unpackedBytes);
  const closers: (() => void)[] = [() => unpacked.dispose()];
  try {
    for (const { unit, blocks } of chosen.flatMap(({ leader, shorter }) => [leader, ...shorter]))
      await writeInspected(unit.folder, unit.data, unit.settings, shared.tokenizer, blocks);
    const trainings = chosen.map((own, i) => {
      const made = trainingOf(shared, own, fit.trainings[i]!, model, ends);
      closers.push(() => made.dispose());
      return made.training;
    });
    const outcomes = await trainTogether(model, trainings, signal);
    for (const [i, outcome] of outcomes.entries()) {
      const { leader, shorter } = chosen[i]!;
      // Where it went on behind the end of a shorter one that is new, that one is trained by itself.
      if (outcome.status === 'finished') await trainings[i]!.finish();
      else
        for (const { unit } of [leader, ...shorter])
          if (!ends.has(unit)) ends.set(unit, outcome.status === 'failed' ? outcome.error : outcome.status);
    }
  } finally {
    for (const close of closers) close();
  }
  return ends;
}

/** The settings by which steps are counted. */
function lasting({ settings: { training } }: Unit): TrainingArguments {
  return { ...training, gradient_checkpointing: false };
}

/**
 * Trainings that differ in nothing but how long they last are one, where the learning rate does not depend on that: PEFT's adapter after
 * two of five epochs is the adapter of two epochs.
 */
function nestedOf(trainings: readonly UnitTraining[]): NestedTrainings[] {
  const nested = new Map<string, UnitTraining[]>();
  for (const [i, training] of trainings.entries()) {
    const { lora, adapter, training: args } = training.unit.settings;
    const { num_train_epochs, max_steps, ...rest } = args;
    const steady = args.lr_scheduler_type === 'constant' && lora !== false;
    // Without a steady rate the length is a part of every step.
    const key = steady
      ? [lora, adapter ?? null, rest, blocksNumber(training.blocks)]
      : [i, num_train_epochs, max_steps];
    const text = canonicalJson(key);
    nested.set(text, [...(nested.get(text) ?? []), training]);
  }
  return [...nested.values()].map((own) => {
    const [leader, ...shorter] = [...own].sort((a, b) => b.steps - a.steps);
    return { leader: leader!, shorter };
  });
}

const blocksNumbers = new WeakMap<readonly Block[], number>();
let blocksSeen = 0;

/** A number for each list of blocks: the cache gives the same list for the same data. */
function blocksNumber(blocks: readonly Block[]): number {
  const number = blocksNumbers.get(blocks) ?? blocksSeen++;
  blocksNumbers.set(blocks, number);
  return number;
}

function trainingOf(
  shared: Shared,
  { leader, shorter }: NestedTrainings,
  args: TrainingArguments,
  model: CausalLM,
  ends: Map<Unit, TrainingEnd>,
): { training: Training & { finish(): Promise<void> }; dispose(): void } {
  const { unit, blocks } = leader;
  const { config, settings, folder, data } = unit;
  const adapter = startingAdapter(model, settings, config.seed);
  const logs = [leader, ...shorter].map((one) => ({ ...one, log: new StepLog(shared, one) }));
  const save = async (of: Unit): Promise<void> => {
    if (adapter) await saveAdapter(adapter, savedPath(of), config.model_name_or_path, { force: true });
    else await saveModel(model, savedPath(of), { companionsOf: shared.modelFolder, force: true });
    TASK_FILES.trained.write(of.folder, { steps: totalOf(of) });
    ends.set(of, 'finished');
  };
  const totalOf = (of: Unit): number => logs.find((l) => l.unit === of)!.steps;
  const pauses = new Map<number, () => Promise<void>>();
  for (const { steps } of shorter)
    pauses.set(steps, async () => {
      for (const other of shorter)
        if (other.steps === steps && !isTrained(other.unit)) await save(other.unit);
    });
  return {
    training: {
      trained: adapter ?? model,
      ...{ blocks, args, pauses },
      checkpoints: join(folder, TASK_FILES.checkpoints),
      describeRow: (row) => describeRow(data, row),
      onStart: (done) => {
        for (const { log } of logs) log.start(done);
      },
      onStep: (record) => {
        const theirs = logs.filter(({ steps }) => record.step <= steps);
        // What it took is one step's time, whose steps it may be: sums over runs are of the time that went by.
        const seconds = record.seconds / theirs.length;
        for (const { log } of theirs) log.step({ ...record, seconds });
      },
      finish: () => save(unit),
    },
    dispose: () => adapter?.dispose(),
  };
}

/** A new adapter, or one that goes on from a finished one; undefined where every weight is trained. */
function startingAdapter(
  model: CausalLM,
  { lora, adapter: folder }: Unit['settings'],
  seed: number,
): LoraAdapter | undefined {
  if (lora === false) return undefined;
  if (folder === undefined) return createLora(model, lora, { seed });
  const adapter = readAdapter(model, folder, { lora_dropout: lora.lora_dropout });
  try {
    // Taken from there, they agree, whatever else chooses among them.
    if (canonicalJson(lora.target_modules) === canonicalJson(readAdapterConfig(folder).target_modules))
      return adapter;
    const all = [...model.linears.keys()];
    const wanted = new Set(
      targetModules(all, model.head.name, ownTargets(familyOf(model.config), all, lora.target_modules)),
    );
    const there = new Set(adapter.modules.map(({ name }) => name));
    const differing = all.find((name) => wanted.has(name) !== there.has(name));
    if (differing !== undefined)
      throw new UserError(
        `lora.target_modules: ${differing} is ${wanted.has(differing) ? 'among them, but has no pair' : 'not among them, but has a pair'} ` +
          `in the adapter in ${folder}: leave target_modules out, and they are taken from there`,
      );
    return adapter;
  } catch (error) {
    adapter.dispose();
    throw error;
  }
  return adapter;
}

/** A unit's steps as they come: in its folder, to those who are told, and on the screen. */
class StepLog {
  private readonly written: Set<number>;
  private readonly writer: RecordWriter<LoggedStep>;

  constructor(
    private readonly shared: Shared,
    private readonly training: UnitTraining,
  ) {
    const { unit, notices } = training;
    for (const text of notices) shared.emit({ type: 'notice', ...this.about, text });
    this.written = new Set(TASK_FILES.steps.read(unit.folder).map((s) => s.step));
    this.writer = TASK_FILES.steps.writer(unit.folder);
  }

  private get about(): { run: number; task: string } {
    const { run, settings } = this.training.unit;
    return { run, task: settings.name };
  }

  start(done: number): void {
    const { steps } = this.training;
    this.shared.emit({
      type: 'stage',
      ...this.about,
      stage: 'train',
      done: Math.min(done, steps),
      total: steps,
    });
  }

  step(of: StepRecord): void {
    const { unit, steps } = this.training;
    const record = { ...of, steps };
    // Steps that a resumed run repeats after a kill stand there already, with the same figures.
    if (!this.written.has(record.step)) {
      const logged = { ...record, time: Date.now() / 1000 };
      this.writer.append(logged);
      tellRecorded(this.shared, unit);
    }
    this.written.add(record.step);
    this.shared.emit({ type: 'step', ...this.about, record });
  }
}
