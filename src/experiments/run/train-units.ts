/** Training tasks of runs, side by side where they can be. */

import { join } from 'node:path';
import { saveAdapter } from '../../adapters/peft.js';
import { readModelJson } from '../../models/config.js';
import type { CausalLM } from '../../models/model.js';
import { saveModel } from '../../models/save.js';
import { unpackWeights } from '../../models/unpacked.js';
import { totalSteps, type TrainingArguments } from '../../train/arguments.js';
import { trainTogether, type Training } from '../../train/trainer.js';
import { CHAT_TEMPLATE } from '../../tokenizer/index.js';
import { writeFileAtomic } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';
import { writeInspected } from './inspected.js';
import { isScored } from '../config/settings/tuning.js';
import { fitTogether, roomOf } from '../plan/fit.js';
import { planValidation } from '../plan/index.js';
import { evaluateAnswers } from './evaluate.js';
import { describeRow } from '../data/training-blocks.js';
import { type Shared, type Unit } from './unit.js';
import { TASK_FILES } from '../store/layout.js';
import { type TrainedUnit, lasting, lanesOf, type Lane } from './lanes.js';
import { StepLog } from './step-log.js';
import { rivalry } from './rivals.js';
import { startingAdapter, savedPath, isTrained } from './trained.js';

/** How the training of a unit ended; a UserError: what ended it. */
export type TrainingEnd = 'finished' | 'stopped' | UserError;

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
  const { backend, cache, modelFolder, tokenizer, signal } = shared;
  const shape = readModelJson(join(modelFolder, 'config.json'));
  const { weights } = units[0]!.config;
  const ends = new Map<Unit, TrainingEnd>();
  const members: TrainedUnit[] = [];
  for (const unit of units) {
    const packed = await cache.blocks(unit.data, unit.settings);
    const evaluated = await planValidation(unit.config, unit.settings, unit.data, cache, {
      ...{ tokenizer, shape, target: backend },
    });
    const validation = evaluated.validation && (await cache.blocks(unit.data, unit.settings, 'validation'));
    const told = validation?.notices.map((text) => `validation rows: ${text}`) ?? [];
    members.push({
      ...{ unit, evaluated, blocks: packed.blocks, notices: [...packed.notices, ...told] },
      steps: totalSteps(packed.blocks.length, lasting(unit)),
    });
  }
  const lanes = lanesOf(members);
  const fit = await fitTogether(
    backend,
    { model: shape, weights },
    lanes.map(({ leader: { unit, blocks, evaluated } }) => ({
      lora: unit.settings.lora,
      training: unit.settings.training,
      blocks,
      ...evaluated,
    })),
    roomOf(backend),
  );
  const chosen = lanes.slice(0, fit.trainings.length);
  const unpacked = unpackWeights(model, fit.unpackedBytes);
  const closers: (() => void)[] = [() => unpacked.dispose()];
  try {
    for (const { unit, blocks } of chosen.flatMap(({ leader, shorter }) => [leader, ...shorter]))
      await writeInspected(unit.folder, unit.data, unit.settings, shared.tokenizer, blocks);
    const underWay = new Set(chosen.map(({ leader }) => leader.unit.folder));
    const trainings = chosen.map((lane, i) => {
      const made = trainingOf(shared, lane, fit.trainings[i]!, model, { ends, underWay });
      closers.push(() => made.dispose());
      return made.training;
    });
    const outcomes = await trainTogether(model, trainings, signal);
    for (const [i, outcome] of outcomes.entries()) {
      const { leader, shorter } = chosen[i]!;
      // Where it went on behind the end of a shorter one that is new, that one is trained by itself.
      if (outcome.status === 'finished') await trainings[i]!.finish(outcome.result.steps);
      else
        for (const { unit } of [leader, ...shorter])
          if (!ends.has(unit)) ends.set(unit, outcome.status === 'failed' ? outcome.error : outcome.status);
    }
  } finally {
    for (const close of closers) close();
  }
  return ends;
}

function trainingOf(
  shared: Shared,
  { leader, shorter }: Lane,
  args: TrainingArguments,
  model: CausalLM,
  { ends, underWay }: { readonly ends: Map<Unit, TrainingEnd>; readonly underWay: Set<string> },
): { training: Training & { finish(steps: number): Promise<void> }; dispose(): void } {
  const { unit, blocks, evaluated } = leader;
  const { validation = [] } = evaluated;
  const { config, settings, folder, data } = unit;
  const adapter = startingAdapter(model, settings, config.seed);
  const logs = [leader, ...shorter].map((member) => ({ ...member, log: new StepLog(shared, member) }));
  const save = async (of: Unit, steps: number): Promise<void> => {
    if (adapter) await saveAdapter(adapter, savedPath(of), config.model_name_or_path, { force: true });
    else await saveModel(model, savedPath(of), { companionsOf: shared.modelFolder, force: true });
    const template = data.task.wording.template?.(shared.tokenizer);
    if (template !== undefined) writeFileAtomic(join(savedPath(of), CHAT_TEMPLATE), template);
    TASK_FILES.trained.write(of.folder, { steps });
    ends.set(of, 'finished');
  };
  const outdone = rivalry(shared, unit, (rival) => underWay.has(rival));
  const pauses = new Map<number, () => Promise<void>>();
  for (const { steps } of shorter)
    pauses.set(steps, async () => {
      for (const other of shorter)
        if (other.steps === steps && !isTrained(other.unit)) await save(other.unit, steps);
    });
  return {
    training: {
      trained: adapter ?? model,
      ...{ blocks, validation, args, pauses },
      checkpoints: join(folder, TASK_FILES.checkpoints),
      sources: data.sources,
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
      ...(isScored(settings.training) && {
        evaluate: (signal) => evaluateAnswers(shared, unit, model, adapter, signal),
      }),
      // Whoever is evaluated shares its training with nobody.
      onEvaluate: (record) => logs[0]!.log.evaluation(record),
      ...(outdone && { outdone }),
      onEnd: () => underWay.delete(folder),
      finish: (steps) => save(unit, steps),
    },
    dispose: () => adapter?.dispose(),
  };
}
