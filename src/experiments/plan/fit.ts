/** Settles what a configuration leaves to the memory that there is: checkpointing, where the optimizer's state lies, unpacked weights. */

import type { Backend } from '../../backends/contract.js';
import { createPlanBackend } from '../../backends/select.js';
import type { ResolvedTraining } from '../config/index.js';
import { planTraining, type TrainingJob, type TrainingPlan } from './training.js';

export interface Fit {
  readonly training: TrainingJob['training'];
  readonly plan: TrainingPlan;
  /** Bytes that unpacked copies of NF4 weights may take beside it. */
  readonly unpackedBytes: number;
  /** Whether the plan says that it goes. */
  readonly fits: boolean;
}

export interface FitJob extends Omit<TrainingJob, 'training'> {
  readonly training: ResolvedTraining;
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
  const usable = room * (1 - SPARE);
  let smallest: Fit | undefined;
  for (const checkpointing of gradient_checkpointing === 'auto' ? [false, true] : [gradient_checkpointing]) {
    for (const paged of optim === 'auto' ? [false, true] : [optim === 'paged_adamw_32bit']) {
      const training = { ...job.training, gradient_checkpointing: checkpointing, paged };
      const plan = await planTraining(await createPlanBackend(target.name), { ...job, training });
      const fits = plan.peak <= usable;
      const unpackedBytes = roomBeside(plan.peak, target, room);
      const fit = { training, plan, unpackedBytes, fits };
      if (fits) return fit;
      if (!smallest || plan.peak < smallest.plan.peak) smallest = fit;
    }
  }
  return smallest!;
}
