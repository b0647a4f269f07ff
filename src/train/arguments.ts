/** What a training is told: names and meanings are those of transformers' TrainingArguments. All of it has a default but the data. */

import {
  checkAtLeastZero,
  checkBelowOne,
  checkNumber,
  checkOneOf,
  checkPositive,
  checkSeed,
  checkWhole,
} from '../util/checks.js';
import { filled, type Some } from '../util/defaults.js';
import type { AdamWOptions } from './optimizer.js';
import { scheduleFault, SCHEDULER_TYPES, type Schedule } from './schedule.js';
import { checkSteering, steeringOf, STEERING_DEFAULTS, type Steering } from './steering.js';

/** Named as transformers' TrainingArguments. */
export interface TrainingArguments extends AdamWOptions, Schedule, LaterArguments {
  readonly num_train_epochs: number;
  /** Where positive, it comes before the epochs. */
  readonly max_steps: number;
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly gradient_checkpointing: boolean;
  readonly bf16: boolean;
  /** 0: none. */
  readonly neftune_noise_alpha: number;
  readonly seed: number;
  /** Steps between checkpoints; 0: none but at a stop. */
  readonly save_steps: number;
  readonly save_total_limit: number;
}

/**
 * Arguments that there were not always: one that changes nothing is not there, so that the ids of runs and the checkpoints of before are what
 * they were.
 */
export interface LaterArguments extends Some<Steering>, Pick<Schedule, 'lr_scheduler_kwargs'> {
  /** Share of a target that all tokens have alike. */
  readonly label_smoothing_factor?: number | undefined;
  /** Blocks of like length go together. */
  readonly group_by_length?: boolean | undefined;
}

export const LATER_DEFAULTS = {
  ...STEERING_DEFAULTS,
  label_smoothing_factor: 0,
  group_by_length: false,
} as const satisfies LaterArguments;

/** Those that change something, with what stands where nothing is said. */
export function laterArguments(given: LaterArguments): LaterArguments {
  const { lr_scheduler_kwargs = {}, label_smoothing_factor, group_by_length } = given;
  const kwargs = Object.entries(lr_scheduler_kwargs).filter(([, value]) => value !== undefined);
  return {
    ...(kwargs.length > 0 && { lr_scheduler_kwargs: Object.fromEntries(kwargs) }),
    ...(label_smoothing_factor && { label_smoothing_factor }),
    ...(group_by_length && { group_by_length }),
    ...steeringOf(given),
  };
}

/** What stands where nothing is said. The configuration takes its defaults from here, too. */
export const TRAINING_DEFAULTS: Required<Omit<TrainingArguments, keyof LaterArguments>> = {
  num_train_epochs: 3,
  max_steps: 0,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 2,
  learning_rate: 2e-4,
  lr_scheduler_type: 'constant',
  warmup_ratio: 0.03,
  warmup_steps: 0,
  max_grad_norm: 0.3,
  weight_decay: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  gradient_checkpointing: true,
  paged: false,
  neftune_noise_alpha: 0,
  bf16: true,
  seed: 42,
  save_steps: 100,
  save_total_limit: 2,
};

/** Arguments that change no bit of what is trained: they save memory, or are about checkpoints. */
export const BITLESS_ARGUMENTS = [
  'gradient_checkpointing',
  'paged',
  'save_steps',
  'save_total_limit',
] as const satisfies readonly (keyof TrainingArguments)[];

/** Any of the arguments; what is undefined is as left out. */
export type SomeArguments = Some<TrainingArguments>;

/** `given` with the defaults in the place of what it leaves out. */
export function trainingArguments(given: SomeArguments): TrainingArguments {
  return { ...filled(TRAINING_DEFAULTS, given), ...laterArguments(given) };
}

/** Optimizer steps of a run over `blocks` blocks, as transformers counts them. */
export function totalSteps(blocks: number, args: TrainingArguments): number {
  if (args.max_steps > 0) return args.max_steps;
  return Math.max(1, Math.ceil(args.num_train_epochs * stepsPerEpoch(blocks, args)));
}

export function stepsPerEpoch(blocks: number, args: TrainingArguments): number {
  return Math.ceil(blocks / (args.per_device_train_batch_size * args.gradient_accumulation_steps));
}

/** Throws RangeError or TypeError, which names the argument. `blocks`: how many there are. */
export function checkArguments(args: TrainingArguments, blocks: number): void {
  const counts = ['per_device_train_batch_size', 'gradient_accumulation_steps', 'save_total_limit'] as const;
  for (const name of counts) checkWhole(name, args[name], name === 'save_total_limit' ? 0 : 1);
  checkWhole('max_steps', args.max_steps, -1);
  checkPositive('num_train_epochs', args.num_train_epochs);
  for (const name of ['save_steps', 'warmup_steps'] as const) checkWhole(name, args[name], 0);
  checkOneOf('lr_scheduler_type', args.lr_scheduler_type, SCHEDULER_TYPES);
  for (const name of ['learning_rate', 'weight_decay', 'neftune_noise_alpha'] as const)
    checkAtLeastZero(name, args[name]);
  checkNumber('max_grad_norm', args.max_grad_norm, 'a number, 0 or more', (norm) => norm >= 0);
  checkNumber('warmup_ratio', args.warmup_ratio, 'a number from 0 to 1', (share) => share >= 0 && share <= 1);
  for (const name of ['adam_beta1', 'adam_beta2'] as const) checkBelowOne(name, args[name]);
  checkPositive('adam_epsilon', args.adam_epsilon);
  checkSeed('seed', args.seed);
  checkBelowOne('label_smoothing_factor', args.label_smoothing_factor ?? 0);
  checkSteering(args);
  const fault = scheduleFault(args);
  if (fault !== undefined) throw new RangeError(`lr_scheduler_kwargs ${fault}`);
  checkWhole('the number of steps', totalSteps(blocks, args), 1);
}
