/**
 * The whole job of a configuration, as the run's process does it: for each task the baselines of the untuned model, training, the tuned
 * model's answers, and the scores. Whatever is done already (a checkpoint, some predictions, a whole task) is found in the run's folder
 * and not done again.
 */

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attachLora, type LoraAdapter } from '../../adapters/lora.js';
import { loadAdapter, saveAdapter } from '../../adapters/peft.js';
import { createBackend } from '../../backends/select.js';
import type { Backend } from '../../backends/contract.js';
import { resolveModel } from '../../files/index.js';
import { stopTokens } from '../../generate/stop-tokens.js';
import { loadModel, readJson } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { saveModel } from '../../models/save.js';
import { unpackWeights } from '../../models/unpacked.js';
import type { PromptKind } from '../../tasks/index.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { train, type StepRecord } from '../../train/trainer.js';
import { writeFileAtomic, writeIfChanged } from '../../util/atomic.js';
import { messageOf, UserError } from '../../util/errors.js';
import { fitTraining, roomBeside } from '../plan/fit.js';
import { planAnswers } from '../plan/index.js';
import { withChecks } from '../checks/index.js';
import { loadChecks, type LoadedCheck } from '../checks/load.js';
import { loadConfig, type ResolvedConfig, type ResolvedTask } from '../config/index.js';
import { writeInspected } from '../records/inspected.js';
import { TaskReports, type LoggedStep } from '../records/reports.js';
import type { RunEvent } from './events.js';
import { openRunFolder } from './folder.js';
import { predict, type Prediction } from './predictions.js';
import { readRecords, RecordWriter } from './records.js';
import { resultsTable, type MethodResult, type TaskResult } from './results.js';
import { scorePredictions, type Score } from './score.js';
import type { WorkerOrder } from './supervise.js';
import { describeRow, readTaskData, trainingBlocks, type TaskData } from './task-data.js';

interface Job {
  readonly config: ResolvedConfig;
  readonly backend: Backend;
  readonly modelFolder: string;
  readonly tokenizer: Tokenizer;
  readonly emit: (event: RunEvent) => void;
  readonly signal: AbortSignal;
}

export async function runJob(
  order: WorkerOrder,
  emit: (event: RunEvent) => void,
  signal: AbortSignal,
): Promise<'finished' | 'stopped'> {
  const loaded = loadConfig(order.configPath);
  const { config } = loaded;
  const options = order.threads === undefined ? {} : { threads: order.threads };
  const { backend, notice } = await createBackend(config.device, options);
  if (notice !== undefined) emit({ type: 'notice', text: notice });
  const modelFolder = await resolveModel(config.model_name_or_path, { revision: config.revision });
  const job: Job = { config, backend, modelFolder, tokenizer: Tokenizer.load(modelFolder), emit, signal };
  // A check that cannot be loaded is told before anything is computed.
  const checks = await Promise.all(config.tasks.map((task) => loadChecks(task.checks)));
  const folder = await openRunFolder(loaded, modelFolder, backend);
  try {
    const resultsPath = join(folder.path, 'results.json');
    const finished = existsSync(resultsPath);
    const tuning = tuningName(config, modelFolder);
    emit({ type: 'run', folder: folder.path, finished, tuning });
    const results: TaskResult[] = [];
    for (const [i, settings] of config.tasks.entries()) {
      const result = await runTask(job, settings, checks[i]!, join(folder.path, settings.name));
      if (result === undefined) return 'stopped';
      results.push(result);
      emit({ type: 'result', task: settings.name, result });
    }
    // Those of a finished run are written again where it is checked for something else.
    writeIfChanged(join(folder.path, 'report.md'), resultsTable(results, tuning) + '\n');
    writeIfChanged(resultsPath, JSON.stringify(results, null, 2) + '\n');
    return 'finished';
  } finally {
    folder.release();
  }
}

/** What the tables call the tuned model: QLoRA over weights that are quantized on loading or were before. */
function tuningName({ tasks, weights }: ResolvedConfig, modelFolder: string): string {
  if (tasks.every((t) => t.lora === false)) return 'fine-tuned';
  const stored = readJson(join(modelFolder, 'config.json'))['quantization_config'];
  return weights.quantization === undefined && stored == null ? 'LoRA' : 'QLoRA';
}

function savedResult(path: string): TaskResult {
  try {
    return readJson(path) as unknown as TaskResult;
  } catch (error) {
    throw new UserError(`${messageOf(error)}; remove it, and it is made again from what stands beside it`);
  }
}

async function runTask(
  job: Job,
  settings: ResolvedTask,
  checks: readonly LoadedCheck[],
  folder: string,
): Promise<TaskResult | undefined> {
  const resultPath = join(folder, 'result.json');
  const reports = new TaskReports(folder, job.config);
  try {
    const found = existsSync(resultPath);
    const result = found ? savedResult(resultPath) : await workOnTask(job, settings, folder, reports);
    if (result === undefined) return undefined;
    const data = (): Promise<TaskData> => readTaskData(settings, job.config.seed);
    const checked = await withChecks(result, checks, settings, folder, data);
    for (const method of checked.methods) reports.answered(method);
    return checked;
  } finally {
    reports.close();
  }
}

/** Undefined when the signal came first. */
async function workOnTask(
  job: Job,
  settings: ResolvedTask,
  folder: string,
  reports: TaskReports,
): Promise<TaskResult | undefined> {
  const { emit, signal } = job;
  const task = settings.name;
  const data = await readTaskData(settings, job.config.seed);
  for (const text of data.notices) emit({ type: 'notice', task, text });
  const methods: MethodResult[] = [];
  const answer = async (model: CausalLM, method: PromptKind): Promise<boolean> => {
    if (!settings.test) return true;
    const unpacked = unpackWeights(model, await roomToUnpack(job, settings, data, method));
    try {
      const result = await answerAndScore(job, settings, folder, data, model, method);
      if (result) {
        methods.push(result);
        reports.answered(result);
      }
      return result !== undefined;
    } finally {
      unpacked.dispose();
    }
  };
  const model = await loadModel(job.backend, job.modelFolder, {
    ...job.config.weights,
    trainable: settings.lora === false && settings.train !== undefined,
  });
  let tuned = model;
  let adapter: LoraAdapter | undefined;
  try {
    for (const method of settings.baselines) if (!(await answer(model, method))) return undefined;
    let training: TaskResult['training'];
    if (settings.train) {
      const outcome = await trainTask(job, settings, folder, data, model, reports);
      if (outcome === undefined) return undefined;
      training = outcome.training;
      tuned = outcome.model;
      adapter = outcome.adapter;
      if (!(await answer(tuned, 'tuned'))) return undefined;
    }
    const result: TaskResult = {
      task,
      kind: settings.settings.task,
      metric: data.task.metric,
      train_rows: data.train.length,
      test_rows: data.test.length,
      methods,
      ...(training && { training }),
    };
    if (signal.aborted) return undefined;
    writeFileAtomic(join(folder, 'result.json'), JSON.stringify(result, null, 2) + '\n');
    rmSync(join(folder, 'checkpoints'), { recursive: true, force: true });
    return result;
  } finally {
    adapter?.dispose();
    if (tuned !== model) tuned.dispose();
    model.dispose();
  }
}

/** What this process may have of the device's memory, what it has already included. */
function roomOf(backend: Backend): number {
  return backend.available() + backend.memory().held;
}

/** Bytes for unpacked weights beside the answers of a method. */
async function roomToUnpack(
  { config, backend, tokenizer, modelFolder }: Job,
  settings: ResolvedTask,
  data: TaskData,
  method: PromptKind,
): Promise<number> {
  if (config.weights.quantization === undefined) return 0;
  const shape = readJson(join(modelFolder, 'config.json'));
  const { peak } = await planAnswers(config, settings, data, tokenizer, shape, method, backend);
  return roomBeside(peak, backend, roomOf(backend));
}

interface Trained {
  readonly model: CausalLM;
  readonly adapter: LoraAdapter | undefined;
  readonly training: NonNullable<TaskResult['training']>;
}

/** Leaves the model tuned: trained now, or as an earlier attempt saved it. */
async function trainTask(
  job: Job,
  settings: ResolvedTask,
  folder: string,
  data: TaskData,
  model: CausalLM,
  reports: TaskReports,
): Promise<Trained | undefined> {
  const { config, backend, tokenizer, emit, signal } = job;
  const task = settings.name;
  const stepsPath = join(folder, 'train.jsonl');
  const saved = join(folder, settings.lora === false ? 'model' : 'adapter');
  const donePath = join(folder, 'trained.json');
  if (existsSync(donePath)) {
    const adapter = settings.lora === false ? undefined : loadAdapter(model, saved);
    const tuned = settings.lora === false ? await loadModel(backend, saved, { dtype: 'f32' }) : model;
    return { model: tuned, adapter, training: summary(readRecords<StepRecord>(stepsPath)) };
  }
  const { blocks, notices } = trainingBlocks(data, settings, tokenizer);
  for (const text of notices) emit({ type: 'notice', task, text });
  const fit = await fitTraining(
    backend,
    {
      model: readJson(join(job.modelFolder, 'config.json')),
      weights: config.weights,
      lora: settings.lora,
      training: settings.training,
      blocks,
    },
    roomOf(backend),
  );
  const adapter =
    settings.lora === false ? undefined : attachLora(model, settings.lora, { seed: config.seed });
  writeInspected(folder, data, settings, tokenizer, blocks);
  const unpacked = unpackWeights(model, fit.unpackedBytes);
  const checkpoints = join(folder, 'checkpoints');
  const steps = new Map(readRecords<StepRecord>(stepsPath).map((s) => [s.step, s]));
  const writer = new RecordWriter<LoggedStep>(stepsPath);
  try {
    const result = await train(model, adapter?.parameters ?? model.parameters, blocks, fit.training, {
      checkpoints,
      signal,
      describeRow: (row) => describeRow(data, row),
      onStart: (done, total) => emit({ type: 'stage', task, stage: 'train', done, total }),
      onStep: (record) => {
        // Steps that a resumed run repeats after a kill stand there already, with the same figures.
        if (!steps.has(record.step)) {
          const logged = { ...record, time: Date.now() / 1000 };
          writer.append(logged);
          reports.step(logged);
        }
        steps.set(record.step, record);
        emit({ type: 'step', task, record });
      },
    });
    if (!result.finished) return undefined;
  } finally {
    unpacked.dispose();
    writer.close();
  }
  if (adapter) await saveAdapter(adapter, saved, config.model_name_or_path);
  else await saveModel(model, saved, { companionsOf: job.modelFolder });
  writeFileAtomic(donePath, JSON.stringify({ steps: steps.size }) + '\n');
  return { model, adapter, training: summary([...steps.values()]) };
}

function summary(steps: readonly StepRecord[]): NonNullable<TaskResult['training']> {
  return {
    steps: steps.length,
    first_loss: steps[0]?.loss ?? Number.NaN,
    last_loss: steps.at(-1)?.loss ?? Number.NaN,
    tokens: steps.reduce((n, s) => n + s.tokens, 0),
    seconds: steps.reduce((n, s) => n + s.seconds, 0),
  };
}

/** Undefined when the signal came first. */
async function answerAndScore(
  job: Job,
  settings: ResolvedTask,
  folder: string,
  data: TaskData,
  model: CausalLM,
  method: PromptKind,
): Promise<MethodResult | undefined> {
  const { emit, signal, tokenizer, modelFolder, config } = job;
  const task = settings.name;
  const started = performance.now();
  const stops = stopTokens(modelFolder, tokenizer.eosId);
  const scores: Partial<Record<'generate' | 'likelihood', Score>> = {};
  /** Both ways of scoring shorten the same prompts: it is told once. */
  const told = new Set<string>();
  emit({ type: 'stage', task, stage: method, done: 0, total: data.test.length });
  for (const scoring of settings.scoring === 'both'
    ? (['generate', 'likelihood'] as const)
    : [settings.scoring]) {
    const predictions: Prediction[] | undefined = await predict({
      method,
      scoring,
      data,
      settings,
      model,
      tokenizer,
      stops,
      seed: config.seed,
      path: join(
        folder,
        scoring === 'generate' ? `predictions-${method}.jsonl` : `predictions-${method}-likelihood.jsonl`,
      ),
      onAnswer: (done, total) => emit({ type: 'answers', task, stage: method, done, total }),
      onNotice: (text) => {
        if (!told.has(text)) emit({ type: 'notice', task, text });
        told.add(text);
      },
      signal,
    });
    if (!predictions) return undefined;
    scores[scoring] = scorePredictions(data.task.metric, predictions);
  }
  const main = scores.generate ?? scores.likelihood!;
  const other = scores.likelihood;
  writeFileAtomic(join(folder, `scores-${method}.json`), JSON.stringify(scores, null, 2) + '\n');
  return {
    method,
    metrics: { ...main.metrics, ...(other && { likelihood_accuracy: other.metrics['accuracy']! }) },
    intervals: { ...main.intervals, ...(other && { likelihood_accuracy: other.intervals['accuracy']! }) },
    rows: data.test.length,
    unanswered: main.unanswered,
    seconds: (performance.now() - started) / 1000,
  };
}
