/** Which trainings are one: those that differ in nothing but their length. */

import type { Block } from '../../data/index.js';
import type { TrainingArguments } from '../../train/arguments.js';
import { canonicalJson } from '../config/hash.js';
import type { FitJob } from '../plan/fit.js';
import type { Unit } from './unit.js';

/** A training, and others whose every step is one of its own: they are what it was after their last one. */
export interface Lane {
  readonly leader: TrainedUnit;
  readonly shorter: readonly TrainedUnit[];
}

/** A unit that is to be trained. */
export interface TrainedUnit {
  readonly unit: Unit;
  readonly blocks: readonly Block[];
  /** What it is evaluated on, and what that takes, where it is. */
  readonly evaluated: Pick<FitJob, 'validation' | 'answers'>;
  /** What there is to say about them. */
  readonly notices: readonly string[];
  readonly steps: number;
}

/** The settings by which steps are counted. */
export function lasting({ settings: { training } }: Unit): TrainingArguments {
  return { ...training, gradient_checkpointing: false };
}

/**
 * Trainings that differ in nothing but how long they last are one, where the learning rate does not depend on that: PEFT's adapter after
 * two of five epochs is the adapter of two epochs.
 */
export function lanesOf(members: readonly TrainedUnit[]): Lane[] {
  const lanes = new Map<string, TrainedUnit[]>();
  for (const [i, member] of members.entries()) {
    const { lora, adapter, training } = member.unit.settings;
    const { num_train_epochs, max_steps, ...rest } = training;
    const steady =
      training.lr_scheduler_type === 'constant' && training.eval_strategy === undefined && lora !== false;
    // Without a steady rate the length is a part of every step; and of several evaluations a shorter one has another best.
    const key = steady
      ? [lora, adapter ?? null, rest, blocksNumber(member.blocks)]
      : [i, num_train_epochs, max_steps];
    const text = canonicalJson(key);
    lanes.set(text, [...(lanes.get(text) ?? []), member]);
  }
  return [...lanes.values()].map((lane) => {
    const [leader, ...shorter] = [...lane].sort((a, b) => b.steps - a.steps);
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
