/**
 * Checkpoints of a training run: the trained parameters, the optimizer's state and its step, in one safetensors file that is written
 * whole or not at all. The step fixes everything else (order of the data, masks, rate), so nothing more is needed to go on with the
 * same bits.
 */

import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkFinite, SafetensorsFile, writeSafetensors } from '../files/index.js';
import type { Tensor } from '../tensor/tensor.js';
import { UserError } from '../util/errors.js';
import type { AdamW } from './optimizer.js';

const NAME = /^step-(\d+)\.safetensors$/;

/** Writes `folder`/step-N.safetensors and removes all but the newest `limit` (0: keeps all). `run` names what is trained. */
export async function saveCheckpoint(
  folder: string,
  optimizer: AdamW,
  run: string,
  limit: number,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const tensors = [...contents(optimizer)].map(([name, tensor]) => ({
    ...{ name, dtype: 'F32' as const, shape: [...tensor.shape] },
    data: async () => new Uint8Array((await tensor.toFloat32()).buffer),
  }));
  const path = join(folder, `step-${optimizer.step}.safetensors`);
  await writeSafetensors(path, tensors, { step: String(optimizer.step), run });
  const old = list(folder).slice(0, -limit || undefined);
  if (limit > 0) for (const step of old) rmSync(join(folder, `step-${step}.safetensors`), { force: true });
  return path;
}

/** The newest checkpoint's path. */
export function latestCheckpoint(folder: string): string | undefined {
  const step = list(folder).at(-1);
  return step === undefined ? undefined : join(folder, `step-${step}.safetensors`);
}

/** Loads the newest checkpoint, where there is one, and returns its step (0 where there is none). Throws UserError for another run's. */
export function restoreCheckpoint(folder: string, optimizer: AdamW, run: string): number {
  const path = latestCheckpoint(folder);
  if (path === undefined) return 0;
  const file = SafetensorsFile.open(path);
  try {
    const step = Number(file.metadata['step']);
    if (file.metadata['run'] !== run || !(step > 0)) {
      throw new UserError(
        `${path} is of another training (its data, seed or settings differ): remove it to begin anew, or name another folder`,
      );
    }
    for (const [name, tensor] of contents(optimizer)) {
      if (!file.has(name) || file.info(name).shape.join() !== tensor.shape.join()) {
        throw new UserError(`${path}: '${name}' does not fit this run; remove the file to begin anew`);
      }
      const { dtype, data } = file.read(name);
      checkFinite(path, name, dtype, tensor.shape, data);
      tensor.backend.upload(data, tensor);
    }
    optimizer.step = step;
    return step;
  } finally {
    file.close();
  }
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
