/** Settles what a configuration leaves to the memory that there is: checkpointing, where the optimizer's state lies, unpacked weights. */

import type { Backend } from '../../backends/contract.js';
import { createPlanBackend } from '../../backends/select.js';
import type { ResolvedTraining } from '../config/index.js';
import {
  planTogether,
  type PlannedTraining,
  type PlanModel,
  type TrainingJob,
  type TrainingPlan,
} from './training.js';

type Settled = TrainingJob['training'];

export interface Fit {
  readonly training: Settled;
  readonly plan: TrainingPlan;
  /** Bytes that unpacked copies of NF4 weights may take beside it. */
  readonly unpackedBytes: number;
  /** Whether the plan says that it goes. */
  readonly fits: boolean;
}

/** One training whose settings leave something to the memory. */
export interface UnsettledTraining extends Omit<PlannedTraining, 'training'> {
  readonly training: ResolvedTraining;
}

export interface FitJob extends PlanModel, UnsettledTraining {}

/** The first of some trainings, which go together. */
export interface FitTogether extends Omit<Fit, 'training'> {
  /** One each: as many as go together. */
  readonly trainings: readonly Settled[];
}

/** Left free: a driver's own needs, and what other programs take meanwhile. */
const SPARE = 0.05;

/** What this process may have of the device's memory, what it has already included. */
export function roomOf(backend: Backend): number {
  return backend.available() + backend.memory().held;
}

/** Bytes that unpacked copies of NF4 weights may take beside work whose peak is known, in `room` bytes. */
export function roomBeside(peak: number, target: Pick<Backend, 'activations'>, room: number): number {
  // Where activations are f32, products read them in another type.
  return target.activations === 'bf16' ? Math.max(0, room * (1 - SPARE) - peak) : 0;
}

/** The fastest way that fits into `room` bytes; of those that do not the smallest. */
export async function fitTraining(
  target: Pick<Backend, 'name' | 'activations'>,
  job: FitJob,
  room: number,
): Promise<Fit> {
  const { gradient_checkpointing, optim } = job.training;
  let smallest: Fit | undefined;
  for (const checkpointing of gradient_checkpointing === 'auto' ? [false, true] : [gradient_checkpointing]) {
    for (const paged of optim === 'auto' ? [false, true] : [optim === 'paged_adamw_32bit']) {
      const training = { ...job.training, gradient_checkpointing: checkpointing, paged };
      const fit = { training, ...(await fitOf(target, job, [{ ...job, training }], room)) };
      if (fit.fits) return fit;
      if (!smallest || fit.plan.peak < smallest.plan.peak) smallest = fit;
    }
  }
  return smallest!;
}

/**
 * As many of the adapters `trainings`, from the first on, as can be trained together in `room` bytes: one at least, whether it fits or not,
 * and none behind one that shares bf16 or gradient_checkpointing with the first not. What is left to the memory is settled for the first
 * alone: more rows in a pass save less than computing layers again costs.
 */
export async function fitTogether(
  target: Pick<Backend, 'name' | 'activations'>,
  model: PlanModel,
  trainings: readonly UnsettledTraining[],
  room: number,
): Promise<FitTogether> {
  const { training: first, ...alone } = await fitTraining(target, { ...model, ...trainings[0]! }, room);
  const settled = trainings.map((job) => {
    const { gradient_checkpointing: checkpointing, optim } = job.training;
    const gradient_checkpointing = checkpointing === 'auto' ? first.gradient_checkpointing : checkpointing;
    const paged = optim === 'auto' ? first.paged === true : optim === 'paged_adamw_32bit';
    return { ...job, training: { ...job.training, gradient_checkpointing, paged } };
  });
  const other = settled.findIndex(
    ({ training, lora }) =>
      training.bf16 !== first.bf16 ||
      training.gradient_checkpointing !== first.gradient_checkpointing ||
      lora === false,
  );
  // By halves: what takes more rows takes more memory.
  let most = other < 0 ? trainings.length : other;
  let [count, fit] = [1, alone];
  while (count < most) {
    const tried = Math.ceil((count + most) / 2);
    const found = await fitOf(target, model, settled.slice(0, tried), room);
    if (found.fits) [count, fit] = [tried, found];
    else most = tried - 1;
  }
  return { ...fit, trainings: settled.slice(0, count).map(({ training }) => training) };
}

async function fitOf(
  target: Pick<Backend, 'name' | 'activations'>,
  model: PlanModel,
  trainings: readonly PlannedTraining[],
  room: number,
): Promise<Omit<Fit, 'training'>> {
  const plan = await planTogether(await createPlanBackend(target.name), model, trainings);
  return { plan, unpackedBytes: roomBeside(plan.peak, target, room), fits: plan.peak <= room * (1 - SPARE) };
}
