/** What a certificate needs of a run, read and held to what the run had, before anything is exported. */

import type { Backend } from '../../backends/contract.js';
import { trainTestSplit } from '../../data/index.js';
import type { Sample } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import type { ResolvedTask } from '../config/index.js';
import { readTaskData, type TaskData } from '../data/task-data.js';
import { Fingerprinting } from '../store/fingerprints.js';
import type { AnsweredBy, Prediction } from '../store/predictions.js';
import { readPredictions, type StoredRun } from '../store/stored.js';

/** What an exported file is certified by. */
export interface CertifyOrder {
  readonly run: StoredRun;
  readonly task: string;
  /** The base model's. */
  readonly modelFolder: string;
  readonly backend: Backend;
  /** How many of the test rows; all where there are no more. */
  readonly rows: number;
  readonly signal?: AbortSignal | undefined;
}

/** What was read. */
export interface Certifying extends CertifyOrder {
  readonly settings: ResolvedTask;
  /** Its test rows are those that are certified. */
  readonly data: TaskData;
  readonly testRows: number;
  /** How the answers were found that the run's figures are about. */
  readonly scoring: AnsweredBy;
  /** The run's own answers to the certified rows, in their order. */
  readonly recorded: readonly Prediction[];
  /** What a person should know of how it is compared. */
  readonly notes: readonly string[];
}

/** Why a run's task has nothing that a file could be held to; undefined: it has. */
export function uncertifiable({ run, task }: Pick<CertifyOrder, 'run' | 'task'>): string | undefined {
  const settings = run.manifest.config.tasks.find(({ name }) => name === task);
  const result = run.results.find((one) => one.task === task);
  if (!settings?.test) return `task '${task}' has no test rows`;
  if (!result) return `task '${task}' has no result yet`;
  if (!result.methods.some(({ method }) => method === 'tuned'))
    return `task '${task}' was trained, and its test rows were not answered`;
  return undefined;
}

/**
 * Rejects with a UserError where rows, base model or answers are gone or are others than the run had, with an Error for a task that is
 * `uncertifiable`.
 */
export async function prepareCertificate(order: CertifyOrder): Promise<Certifying> {
  const { run, task, rows, signal } = order;
  const { config } = run.manifest;
  const settings = config.tasks.find(({ name }) => name === task);
  const result = run.results.find((one) => one.task === task);
  if (!settings || !result) throw new Error(`task ${task} cannot be certified`);
  const scoring = settings.scoring === 'likelihood' ? 'likelihood' : 'generate';
  const answers = new Map(readPredictions(run, result, 'tuned', scoring).map((one) => [one.row, one]));
  const notes = await sameAsThen(order, settings);
  const data = await readTaskData(settings, config.seed, signal);
  const chosen = chooseRows(data.test, rows, config.seed);
  const recorded = chosen.map(({ row }) => answers.get(row)!);
  if (settings.generation.do_sample)
    notes.push("the run's answers were drawn, and those of the exported file are the likeliest");
  const testRows = data.test.length;
  return { ...order, settings, data: { ...data, test: chosen }, testRows, scoring, recorded, notes };
}

/** Holds a run's base model and rows to what they were. @returns what differs and may */
async function sameAsThen(
  { run, modelFolder, backend }: CertifyOrder,
  settings: ResolvedTask,
): Promise<string[]> {
  const { config, fingerprints } = run.manifest;
  // What the training started from may be gone: it is in what was trained.
  const own: { -readonly [Key in keyof ResolvedTask]: ResolvedTask[Key] } = { ...settings };
  delete own.adapter;
  const now = await new Fingerprinting(modelFolder, backend).of({ config: { ...config, tasks: [own] } });
  if (now.model !== fingerprints.model)
    throw new UserError(
      `${modelFolder} is not the base model of run ${run.id}: its files are others by now; name the right one by --model`,
    );
  for (const [source, hash] of Object.entries(now.data))
    if (fingerprints.data[source] !== hash)
      throw new UserError(
        `the file of ${source} is not the one that run ${run.id} read: put it back as it was`,
      );
  return now.backend === fingerprints.backend
    ? []
    : [`the run was computed on ${fingerprints.backend}, its adapter is run here on ${now.backend}`];
}

/** The same rows of a run each time, in the file's order. */
function chooseRows(test: readonly Sample[], rows: number, seed: number): Sample[] {
  if (rows >= test.length) return [...test];
  const { train } = trainTestSplit(test.length, { trainSize: rows, randomState: seed });
  return train.sort((a, b) => a - b).map((i) => test[i]!);
}
