/**
 * The training loop, top to bottom: order, batches, passes, update, record, checkpoint. It trains whatever parameters it is given
 * (an adapter's, or a whole model's) and can be stopped and resumed at any step with the same bits as without the stop.
 */

import { createHash } from 'node:crypto';
import type { Parameter } from '../autograd/parameter.js';
import { epochOrder, type Block } from '../data/index.js';
import type { CausalLM } from '../models/model.js';
import { UserError } from '../util/errors.js';
import { latestCheckpoint, restoreCheckpoint, saveCheckpoint } from './checkpoint.js';
import { AdamW, type AdamWOptions } from './optimizer.js';
import { learningRate, type Schedule } from './schedule.js';
import { flatten, forwardBackward } from './step.js';

/** Named as transformers' TrainingArguments. */
export interface TrainingArguments extends AdamWOptions, Schedule {
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

export interface StepRecord {
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  /** Mean over the step's trained tokens. */
  readonly loss: number;
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Rows of the forward pass, and how many of them were trained on. */
  readonly tokens: number;
  readonly trained_tokens: number;
  readonly seconds: number;
}

export interface TrainOptions {
  /** Where checkpoints go and a resumed run finds them. Absent: none are written. */
  readonly checkpoints?: string;
  /** The step that it goes on after, and the steps of the whole run. */
  readonly onStart?: (done: number, steps: number) => void;
  readonly onStep?: (record: StepRecord) => void;
  /** Ends training after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Names a row for messages. */
  readonly describeRow?: (row: number) => string;
}

export interface TrainResult {
  readonly steps: number;
  /** The step it began after. */
  readonly resumedFrom: number;
  /** False when the signal ended it. */
  readonly finished: boolean;
  readonly last: StepRecord | undefined;
}

/** Optimizer steps of a run over `blocks` blocks, as transformers counts them. */
export function totalSteps(blocks: number, args: TrainingArguments): number {
  if (args.max_steps > 0) return args.max_steps;
  return Math.max(1, Math.ceil(args.num_train_epochs * stepsPerEpoch(blocks, args)));
}

function stepsPerEpoch(blocks: number, args: TrainingArguments): number {
  return Math.ceil(blocks / (args.per_device_train_batch_size * args.gradient_accumulation_steps));
}

/** Trains `parameters` of `model` on `blocks`. Throws UserError when a loss or gradient is not finite. */
export async function train(
  model: CausalLM,
  parameters: readonly Parameter[],
  blocks: readonly Block[],
  args: TrainingArguments,
  options: TrainOptions = {},
): Promise<TrainResult> {
  if (blocks.length === 0)
    throw new UserError('there is nothing to train on: no row is left after reading and packing');
  const { checkpoints, signal } = options;
  const steps = totalSteps(blocks.length, args);
  const perEpoch = stepsPerEpoch(blocks.length, args);
  const run = checkpoints === undefined ? '' : nameOf(blocks, args);
  const optimizer = new AdamW(parameters, args);
  try {
    const resumedFrom = checkpoints === undefined ? 0 : restoreCheckpoint(checkpoints, optimizer, run);
    options.onStart?.(resumedFrom, steps);
    let started = performance.now();
    let last: StepRecord | undefined;
    let before: StepUnderWay | undefined;
    for (let step = resumedFrom; step < steps; step++) {
      const batches = batchesOfStep(blocks, args, Math.floor(step / perEpoch), step % perEpoch);
      const now = begin(model, batches, args, step, learningRate(args, step, steps), optimizer);
      // A device has its next step before the last one's loss is looked at, so that it never waits for the host.
      if (before) last = await settle(before);
      before = now;
      const due = args.save_steps > 0 && (step + 1) % args.save_steps === 0 && step + 1 < steps;
      if (step + 1 === steps || due || signal?.aborted || !model.backend.runsAhead) {
        last = await settle(now);
        before = undefined;
        if (checkpoints !== undefined && (due || signal?.aborted)) {
          await saveCheckpoint(checkpoints, optimizer, run, args.save_total_limit);
        }
      }
      if (signal?.aborted && step + 1 < steps) return { steps: step + 1, resumedFrom, finished: false, last };
      // Signals and progress bars get their turn between steps.
      await new Promise(setImmediate);
    }
    return { steps, resumedFrom, finished: true, last };

    /** Waits for a step's loss, checks and reports it. */
    async function settle({ batches, losses, ...done }: StepUnderWay): Promise<StepRecord> {
      const [rows, grad_norm] = await Promise.all([losses, done.grad_norm]);
      const loss = rows.reduce((sum, part) => part.reduce((a, b) => a + b, sum), 0) / done.trained_tokens;
      if (!Number.isFinite(loss) || !Number.isFinite(grad_norm)) {
        throw notFinite(done.step, loss, grad_norm, batches.flat(), options);
      }
      const ended = performance.now();
      const seconds = (ended - started) / 1000;
      started = ended;
      const record = { ...done, steps, epoch: done.step / perEpoch, loss, grad_norm, seconds };
      options.onStep?.(record);
      return record;
    }
  } finally {
    optimizer.dispose();
  }
}

/** A hash of what the steps are made of: a checkpoint is gone on with by the same training alone. */
function nameOf(blocks: readonly Block[], args: TrainingArguments): string {
  const determining = { ...args, save_steps: undefined, save_total_limit: undefined };
  const hash = createHash('sha256').update(JSON.stringify(Object.entries(determining).sort()));
  for (const { ids, labels, segments } of blocks)
    for (const numbers of [ids, labels, segments]) hash.update(numbers);
  return hash.digest('hex').slice(0, 16);
}

/** The step's blocks, a list for each pass. */
function batchesOfStep(
  blocks: readonly Block[],
  args: TrainingArguments,
  epoch: number,
  step: number,
): Block[][] {
  const size = args.per_device_train_batch_size;
  const perStep = size * args.gradient_accumulation_steps;
  const mine = epochOrder(blocks.length, args.seed, epoch).slice(step * perStep, (step + 1) * perStep);
  const batches: Block[][] = [];
  for (let i = 0; i < mine.length; i += size) {
    batches.push(Array.from(mine.slice(i, i + size), (index) => blocks[index]!));
  }
  return batches;
}

/** A step that the backend was asked for. */
interface StepUnderWay extends Omit<StepRecord, 'steps' | 'epoch' | 'loss' | 'grad_norm' | 'seconds'> {
  readonly batches: readonly Block[][];
  /** Those of its passes' rows. */
  readonly losses: Promise<Float32Array[]>;
  readonly grad_norm: Promise<number>;
}

/**
 * The passes of one step and its update. Each row's loss counts 1 / trained tokens of the whole step, so that the gradient is that of
 * the whole batch however it is cut.
 */
function begin(
  model: CausalLM,
  batches: readonly Block[][],
  args: TrainingArguments,
  step: number,
  learning_rate: number,
  optimizer: AdamW,
): StepUnderWay {
  const flat = batches.map(flatten);
  const trained_tokens = flat.reduce((n, b) => n + b.trainedTokens, 0);
  const tokens = flat.reduce((n, b) => n + b.ids.length, 0);
  optimizer.zeroGrad();
  const losses = flat.map((batch, i) => {
    const pass = step * args.gradient_accumulation_steps + i;
    return forwardBackward(model, batch, 1 / trained_tokens, { ...args, pass });
  });
  const grad_norm = optimizer.update(learning_rate);
  return {
    step: step + 1,
    batches,
    losses: Promise.all(losses),
    grad_norm,
    learning_rate,
    tokens,
    trained_tokens,
  };
}

function notFinite(
  step: number,
  loss: number,
  gradNorm: number,
  blocks: readonly Block[],
  { checkpoints, describeRow = String }: TrainOptions,
): UserError {
  const rows = [...new Set(blocks.flatMap((b) => [...b.rows]))].map(describeRow).join(', ');
  const good = checkpoints === undefined ? undefined : latestCheckpoint(checkpoints);
  return new UserError(
    `step ${step}: ${Number.isFinite(loss) ? `the gradient's norm is ${gradNorm}` : `the loss is ${loss}`}, so training stopped ` +
      `before it could spoil the weights; the batch's rows are ${rows}; ` +
      (good === undefined ? 'no checkpoint was written before' : `the last good checkpoint is ${good}`) +
      '; try a lower learning_rate or look at those rows with `westwind inspect`',
  );
}
