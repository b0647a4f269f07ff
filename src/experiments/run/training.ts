/** Training a task of a run, and finding again what an earlier attempt trained. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { attachLora, type LoraAdapter } from '../../adapters/lora.js';
import { loadAdapter, saveAdapter } from '../../adapters/peft.js';
import { loadModel, readJson } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { saveModel } from '../../models/save.js';
import { unpackWeights } from '../../models/unpacked.js';
import { train, type StepRecord } from '../../train/trainer.js';
import { writeFileAtomic } from '../../util/atomic.js';
import { writeInspected } from '../records/inspected.js';
import type { LoggedStep } from '../records/reports.js';
import { fitTraining, roomOf } from '../plan/fit.js';
import { readRecords, RecordWriter } from './records.js';
import type { TaskResult } from './results.js';
import { describeRow } from './task-data.js';
import type { Shared, Unit } from './unit.js';

/** Marks that what was trained is whole. */
const DONE = 'trained.json';
const STEPS = 'train.jsonl';

export function isTrained({ folder }: Unit): boolean {
  return existsSync(join(folder, DONE));
}

function savedPath({ folder, settings }: Unit): string {
  return join(folder, settings.lora === false ? 'model' : 'adapter');
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

/** What the training took, from the steps that stand in the folder. */
export function trainingSummary({ folder }: Unit): NonNullable<TaskResult['training']> {
  const steps = readRecords<StepRecord>(join(folder, STEPS));
  return {
    steps: steps.length,
    first_loss: steps[0]?.loss ?? Number.NaN,
    last_loss: steps.at(-1)?.loss ?? Number.NaN,
    tokens: steps.reduce((n, s) => n + s.tokens, 0),
    seconds: steps.reduce((n, s) => n + s.seconds, 0),
  };
}

/** Trains and saves; the model is as it was afterwards, but for one that is trained whole. False when the signal came first. */
export async function trainUnit(shared: Shared, unit: Unit, model: CausalLM): Promise<boolean> {
  const { backend, cache, emit, signal, modelFolder, tokenizer } = shared;
  const { run, config, settings, folder, data } = unit;
  const about = { run, task: settings.name };
  const { blocks, notices } = cache.blocks(data, settings);
  for (const text of notices) emit({ type: 'notice', ...about, text });
  const fit = await fitTraining(
    backend,
    {
      model: readJson(join(modelFolder, 'config.json')),
      weights: config.weights,
      lora: settings.lora,
      training: settings.training,
      blocks,
    },
    roomOf(backend),
  );
  writeInspected(folder, data, settings, tokenizer, blocks);
  let adapter: LoraAdapter | undefined;
  const unpacked = unpackWeights(model, fit.unpackedBytes);
  const path = join(folder, STEPS);
  const steps = new Set(readRecords<StepRecord>(path).map((s) => s.step));
  const writer = new RecordWriter<LoggedStep>(path);
  try {
    if (settings.lora !== false) adapter = attachLora(model, settings.lora, { seed: config.seed });
    const result = await train(model, adapter?.parameters ?? model.parameters, blocks, fit.training, {
      checkpoints: join(folder, 'checkpoints'),
      signal,
      describeRow: (row) => describeRow(data, row),
      onStart: (done, total) => emit({ type: 'stage', ...about, stage: 'train', done, total }),
      onStep: (record) => {
        // Steps that a resumed run repeats after a kill stand there already, with the same figures.
        if (!steps.has(record.step)) {
          const logged = { ...record, time: Date.now() / 1000 };
          writer.append(logged);
          unit.reports.step(logged);
        }
        steps.add(record.step);
        emit({ type: 'step', ...about, record });
      },
    });
    if (!result.finished) return false;
    if (adapter) await saveAdapter(adapter, savedPath(unit), config.model_name_or_path);
    else await saveModel(model, savedPath(unit), { companionsOf: modelFolder });
  } finally {
    adapter?.dispose();
    unpacked.dispose();
    writer.close();
  }
  writeFileAtomic(join(folder, DONE), JSON.stringify({ steps: steps.size }) + '\n');
  return true;
}
