/**
 * Checkpoints of a training run: the trained parameters, the optimizer's state and its step, in one safetensors file that is written
 * whole or not at all. The step fixes everything else (order of the data, masks, rate), so nothing more is needed to go on with the
 * same bits.
 */

import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkFinite, SafetensorsFile, writeSafetensors } from '../files/index.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Parameter } from '../autograd/parameter.js';
import { UserError } from '../util/errors.js';
import type { AdamW } from './optimizer.js';
import { superseded, type Evaluation } from './steering.js';

const NAME = /^step-(\d+)\.safetensors$/;

/** What a checkpoint holds beside numbers, and which others it leaves. */
interface CheckpointOptions {
  /** What is trained. */
  readonly run: string;
  /** How many are kept; 0: all. */
  readonly limit: number;
  /** Those up to its step. */
  readonly evaluations?: readonly Evaluation[];
  /** The step of the best, which stays. */
  readonly best?: number | undefined;
}

/** Writes `folder`/step-N.safetensors, and removes those that are superseded. */
export async function saveCheckpoint(
  folder: string,
  optimizer: AdamW,
  { run, limit, evaluations = [], best }: CheckpointOptions,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const tensors = [...contents(optimizer)].map(([name, tensor]) => ({
    ...{ name, dtype: 'F32' as const, shape: [...tensor.shape] },
    data: async () => new Uint8Array((await tensor.toFloat32()).buffer),
  }));
  const path = pathOf(folder, optimizer.step);
  await writeSafetensors(path, tensors, {
    ...{ step: String(optimizer.step), run },
    ...(evaluations.length > 0 && { evaluations: written(evaluations) }),
  });
  removeSuperseded(folder, limit, best);
  return path;
}

/** Removes the checkpoints that the limit lets go. `ended`: training goes on from none of them. */
export function removeSuperseded(
  folder: string,
  limit: number,
  best: number | undefined,
  ended = false,
): void {
  for (const step of superseded(list(folder), limit, best, ended))
    rmSync(pathOf(folder, step), { force: true });
}

/** The newest checkpoint's path. */
export function latestCheckpoint(folder: string): string | undefined {
  const step = list(folder).at(-1);
  return step === undefined ? undefined : pathOf(folder, step);
}

/** Where a training goes on. */
interface Restored {
  /** 0: there is no checkpoint. */
  readonly step: number;
  /** Those up to it. */
  readonly evaluations: readonly Evaluation[];
}

/** Loads the newest checkpoint, where there is one. Throws UserError for another run's. */
export function restoreCheckpoint(folder: string, optimizer: AdamW, run: string): Restored {
  const path = latestCheckpoint(folder);
  if (path === undefined) return { step: 0, evaluations: [] };
  const restored = load(path, run, contents(optimizer));
  optimizer.step = restored.step;
  return restored;
}

/** Loads what was trained, and no more, as it was after `step`. Throws UserError where that checkpoint is gone or another run's. */
export function loadStep(folder: string, step: number, parameters: readonly Parameter[], run: string): void {
  const path = pathOf(folder, step);
  if (!existsSync(path))
    throw new UserError(`${path}, the best checkpoint, is gone: remove ${folder} to begin anew`);
  load(
    path,
    run,
    parameters.map(({ name, value }) => [name, value] as const),
  );
}

function load(path: string, run: string, tensors: Iterable<readonly [string, Tensor]>): Restored {
  const file = SafetensorsFile.open(path);
  try {
    const step = Number(file.metadata['step']);
    if (file.metadata['run'] !== run || !(Number.isSafeInteger(step) && step > 0)) {
      throw new UserError(
        `${path} is of another training (its data, seed or settings differ): remove it to begin anew, or name another folder`,
      );
    }
    const evaluations = readEvaluations(path, file.metadata['evaluations'], step);
    for (const [name, tensor] of tensors) {
      const { dtype: kind, shape } = file.has(name) ? file.info(name) : { dtype: '', shape: [] };
      if (kind !== 'F32' || shape.join() !== tensor.shape.join()) {
        throw new UserError(`${path}: '${name}' does not fit this run; remove the file to begin anew`);
      }
      const { dtype, data } = file.read(name);
      checkFinite(path, name, dtype, tensor.shape, data);
      tensor.backend.upload(data, tensor);
    }
    return { step, evaluations };
  } finally {
    file.close();
  }
}

/** Step and figure of each: '10 0.5, 20 0.25'. A number's text is read as the same number, and JSON has no word for some. */
function written(evaluations: readonly Evaluation[]): string {
  return evaluations.map(({ step, figure }) => `${step} ${figure}`).join(', ');
}

function readEvaluations(path: string, text: string | undefined, last: number): Evaluation[] {
  if (text === undefined) return [];
  const evaluations = text.split(', ').map((one) => {
    const [, step, figure] = /^(\d{1,10}) (NaN|-?Infinity|-?\d[\d.e+-]*)$/.exec(one) ?? [];
    return { step: Number(step), figure: Number(figure), text: figure };
  });
  const damaged = evaluations.some(
    ({ step, figure, text }, i) =>
      !(step > (evaluations[i - 1]?.step ?? 0) && step <= last) || (Number.isNaN(figure) && text !== 'NaN'),
  );
  if (damaged) throw new UserError(`${path}: its evaluations are damaged; remove the file to begin anew`);
  return evaluations.map(({ step, figure }) => ({ step, figure }));
}

function pathOf(folder: string, step: number): string {
  return join(folder, `step-${step}.safetensors`);
}

function* contents(optimizer: AdamW): Generator<[string, Tensor]> {
  for (const p of optimizer.parameters) yield [p.name, p.value];
  yield ['optimizer.m', optimizer.m];
  yield ['optimizer.v', optimizer.v];
}

function list(folder: string): number[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => Number(NAME.exec(name)?.[1] ?? Number.NaN))
    .filter((step) => !Number.isNaN(step))
    .sort((a, b) => a - b);
}
