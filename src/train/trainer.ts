/**
 * The training loop, top to bottom: order, batches, passes, update, record, checkpoint. It trains whatever parameters it is given
 * (an adapter's, or a whole model's) and can be stopped and resumed at any step with the same bits as without the stop. Several adapters
 * of one model are trained in passes that they share, each with the bits that it gets alone; one is the list of one.
 */

import { createHash } from 'node:crypto';
import { holdPairs, pairsOfCall } from '../adapters/call.js';
import type { Parameter } from '../autograd/parameter.js';
import { epochOrder, IGNORE_INDEX, type Block } from '../data/index.js';
import type { CausalLM } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import { throwIfAborted } from '../util/abort.js';
import { checkWhole } from '../util/checks.js';
import { UserError } from '../util/errors.js';
import {
  BITLESS_ARGUMENTS,
  checkArguments,
  stepsPerEpoch,
  totalSteps,
  trainingArguments,
  type SomeArguments,
  type TrainingArguments,
} from './arguments.js';
import { flatten } from './batch.js';
import { latestCheckpoint, restoreCheckpoint, saveCheckpoint } from './checkpoint.js';
import { CROSS_ENTROPY, type Objective } from './objective.js';
import { AdamW } from './optimizer.js';
import { PassClock } from './pass-clock.js';
import { learningRate } from './schedule.js';
import { forwardBackward, type PassFigures, type PassPart } from './step.js';
import { OptimizerStep, type StepFigures } from './stepper.js';

/** What a training tells of one optimizer step: a line of train.jsonl. */
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
  /** Its part of the time, by its rows, where others are trained beside it. */
  readonly seconds: number;
  /** What its objective reports beside the loss, where it does. */
  readonly scalars?: Readonly<Record<string, number>>;
}

/** What one training learns, tells and keeps. */
interface TrainingOptions {
  /** Absent: CROSS_ENTROPY. */
  readonly objective?: Objective;
  /** Where checkpoints go and a resumed run finds them. Absent: none are written. */
  readonly checkpoints?: string;
  /** The step that it goes on after, and the steps of the whole run. */
  readonly onStart?: (done: number, steps: number) => void;
  readonly onStep?: (record: StepRecord) => void;
  /** Names a row for messages. */
  readonly describeRow?: (row: number) => string;
}

/** What a training is given beside its settings. */
export interface TrainOptions extends TrainingOptions {
  /**
   * Ends training at once, with an AbortError: the step under way is dropped, the ones before stand in what is trained and, with
   * `checkpoints`, in a checkpoint.
   */
  readonly signal?: AbortSignal | undefined;
}

/** One of several trainings of a model. */
export interface Training extends TrainingOptions {
  /** An adapter (attached or not); or parameters of the model or of the adapter that is attached to it when training begins. */
  readonly trained: { readonly parameters: readonly Parameter[]; readonly pairs?: PassPart['pairs'] };
  readonly blocks: readonly Block[];
  readonly args: TrainingArguments;
  /** Called after these steps, when what is trained stands as a training that ends there leaves it; training goes on when it is done. */
  readonly pauses?: ReadonlyMap<number, () => void | Promise<void>>;
}

/** How a training ended. */
export interface TrainResult {
  readonly steps: number;
  /** The step it began after. */
  readonly resumedFrom: number;
  /** False when `trainTogether`'s signal ended it. */
  readonly finished: boolean;
  readonly last: StepRecord | undefined;
}

/** How one of several trainings ended. */
export type Outcome =
  | { readonly status: 'finished' | 'stopped'; readonly result: TrainResult }
  | { readonly status: 'failed'; readonly error: UserError };

/**
 * Trains `parameters` of `model` on `blocks`, by `args` and what TRAINING_DEFAULTS says of the rest. Throws UserError when a loss or
 * gradient is not finite, and an AbortError once `options.signal` is aborted before the last step is done.
 */
export async function train(
  model: CausalLM,
  parameters: readonly Parameter[],
  blocks: readonly Block[],
  args: SomeArguments = {},
  { signal, ...options }: TrainOptions = {},
): Promise<TrainResult> {
  const [outcome] = await trainTogether(
    model,
    [{ ...options, trained: { parameters }, blocks, args: trainingArguments(args) }],
    signal,
  );
  if (outcome!.status === 'failed') throw outcome!.error;
  if (outcome!.status === 'stopped') throwIfAborted(signal);
  return outcome!.result;
}

/**
 * Trains several adapters over one model, each to the bits that it gets alone. They differ in whatever they like but `bf16` and
 * `gradient_checkpointing`; shorter ones end and leave. What `train` would throw as a UserError ends one training and no other. `signal`
 * ends each as it ends `train`, but with the outcome 'stopped'.
 */
export async function trainTogether(
  model: CausalLM,
  trainings: readonly Training[],
  signal?: AbortSignal,
): Promise<Outcome[]> {
  checkWhole('the number of trainings', trainings.length, 1);
  const { backend } = model;
  const { bf16, gradient_checkpointing } = trainings[0]!.args;
  for (const { args, trained, blocks } of trainings) {
    checkArguments(args, blocks.length);
    checkWhole('the number of trained parameters', trained.parameters.length, 1);
    if (args.bf16 !== bf16 || args.gradient_checkpointing !== gradient_checkpointing)
      throw new Error('trainings together share bf16 and gradient_checkpointing');
    if (trainings.length > 1 && !trained.pairs) throw new Error('trainings together are of adapters');
  }
  const clock = new PassClock<Trainer>();
  const trainers = trainings.map((training) => new Trainer(model, training, clock));
  try {
    for (const trainer of trainers) await trainer.start();
    for (;;) {
      const running = trainers.filter(({ outcome }) => outcome === undefined);
      if (running.length === 0) return trainers.map(({ outcome }) => outcome!);
      if (signal?.aborted) {
        for (const trainer of running) await trainer.stop();
        continue;
      }
      const parts = running.map((trainer) => trainer.nextPass());
      clock.share(running.map((trainer, i) => [trainer, parts[i]!.batch.ids.length]));
      const figures = await forwardBackward(model, parts, { bf16, gradient_checkpointing, signal });
      // No more than a pass is asked for at once; and what one that was cut short leaves in the gradients must not become an update.
      if (!backend.runsAhead) await backend.synchronize();
      if (signal?.aborted) continue;
      for (const [i, trainer] of running.entries()) await trainer.passed(figures[i]!);
      // Signals and progress bars get their turn between passes.
      await new Promise(setImmediate);
    }
  } finally {
    for (const trainer of trainers) trainer.dispose();
  }
}

/** A step that the backend was asked for, whole. */
interface AskedStep {
  /** From 1. */
  readonly step: number;
  readonly learning_rate: number;
  readonly blocks: readonly Block[];
  readonly asked: OptimizerStep;
  readonly figures: () => Promise<StepFigures>;
}

/** One training, a pass at a time. */
class Trainer {
  outcome: Outcome | undefined;
  private readonly steps: number;
  private readonly perEpoch: number;
  private readonly run: string;
  /** Of the adapter that it began with. */
  private readonly pairs: NonNullable<PassPart['pairs']>;
  private letGo: (() => void) | undefined;
  private optimizer: AdamW | undefined;
  private resumedFrom = 0;
  /** Steps done. */
  private step = 0;
  /** The step of the newest checkpoint. */
  private saved = 0;
  /** A step whose passes are under way, and its blocks. */
  private underWay: { readonly step: OptimizerStep; readonly blocks: readonly Block[] } | undefined;
  /** The step whose loss was not looked at yet. */
  private asked: AskedStep | undefined;
  private last: StepRecord | undefined;

  constructor(
    private readonly model: CausalLM,
    private readonly training: Training,
    private readonly clock: PassClock<Trainer>,
  ) {
    const { blocks, args, checkpoints, objective } = training;
    this.steps = totalSteps(blocks.length, args);
    this.perEpoch = stepsPerEpoch(blocks.length, args);
    this.run = checkpoints === undefined ? '' : nameOf(blocks, args, objective);
    const { pairs } = training.trained;
    this.pairs = pairsOfCall(model, pairs && { pairs });
  }

  /** Goes on from its checkpoint, where there is one. */
  start(): Promise<void> {
    return this.ownFault(() => {
      const { blocks, args, checkpoints, trained, onStart } = this.training;
      if (blocks.length === 0)
        throw new UserError('there is nothing to train on: no row is left after reading and packing');
      for (const { ids, labels, encoder } of blocks) {
        checkTokens(this.model, ids, this.pairs);
        if (encoder) checkTokens(this.model, encoder.ids, this.pairs);
        checkTokens(this.model, labels, this.pairs, IGNORE_INDEX);
      }
      this.letGo = holdPairs(this.pairs);
      this.optimizer = new AdamW(trained.parameters, args);
      if (checkpoints !== undefined)
        this.resumedFrom = restoreCheckpoint(checkpoints, this.optimizer, this.run);
      this.step = this.resumedFrom;
      this.saved = this.resumedFrom;
      onStart?.(this.resumedFrom, this.steps);
      if (this.step >= this.steps) this.end('finished');
    });
  }

  /** What it brings to the next pass. */
  nextPass(): PassPart {
    this.underWay ??= this.begin();
    return this.underWay.step.next();
  }

  private begin(): { step: OptimizerStep; blocks: Block[] } {
    const { blocks, args, objective } = this.training;
    const { step, perEpoch, pairs } = this;
    const batches = batchesOfStep(blocks, args, Math.floor(step / perEpoch), step % perEpoch);
    const learner = { optimizer: this.optimizer!, objective, pairs, args };
    const firstPass = step * args.gradient_accumulation_steps;
    return { step: new OptimizerStep(learner, batches.map(flatten), firstPass), blocks: batches.flat() };
  }

  /** Its pass was asked for; after a step's last one: update, record, checkpoint, end. */
  async passed(pass: PassFigures): Promise<void> {
    const { steps, training, model } = this;
    const { args } = training;
    const { step: asked, blocks } = this.underWay!;
    asked.passed(pass);
    if (!asked.complete) return;
    const learning_rate = learningRate(args, this.step, steps);
    const figures = asked.update(learning_rate);
    const step = ++this.step;
    const before = this.asked;
    this.asked = { step, learning_rate, blocks, asked, figures };
    this.underWay = undefined;
    await this.ownFault(async () => {
      // A device has its next step before the last one's loss is looked at, so that it never waits for the host.
      if (before) await this.settle(before);
      const due = args.save_steps > 0 && step % args.save_steps === 0 && step < steps;
      const pause = training.pauses?.get(step);
      if (step === steps || due || pause || !model.backend.runsAhead) {
        await this.settleAsked();
        await pause?.();
        if (due) await this.save();
      }
      if (step === steps) this.end('finished');
    });
  }

  /** Ends it as the last whole step leaves it: what was asked of the step under way is dropped. */
  stop(): Promise<void> {
    return this.ownFault(async () => {
      await this.settleAsked();
      if (this.step > this.saved) await this.save();
      this.end('stopped');
    });
  }

  private async save(): Promise<void> {
    const { checkpoints, args } = this.training;
    if (checkpoints === undefined) return;
    await saveCheckpoint(checkpoints, this.optimizer!, this.run, args.save_total_limit);
    this.saved = this.step;
  }

  private async settleAsked(): Promise<void> {
    const { asked } = this;
    this.asked = undefined;
    if (asked) await this.settle(asked);
  }

  /** Waits for a step's loss, checks and reports it. */
  private async settle(asked: AskedStep): Promise<void> {
    const { step, learning_rate, blocks } = asked;
    const { tokens, trained_tokens } = asked.asked;
    const { loss, grad_norm, scalars } = await asked.figures();
    if (!Number.isFinite(loss) || !Number.isFinite(grad_norm))
      throw notFinite(step, loss, grad_norm, blocks, this.training);
    const seconds = this.clock.take(this);
    const epoch = step / this.perEpoch;
    const { steps } = this;
    const about = { step, steps, epoch, loss, grad_norm, learning_rate, tokens, trained_tokens, seconds };
    this.last = Object.keys(scalars).length > 0 ? { ...about, scalars } : about;
    this.training.onStep?.(this.last);
  }

  /** What a user can mend ends this training alone. */
  private async ownFault(body: () => void | Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.outcome = { status: 'failed', error };
      this.dispose();
    }
  }

  private end(status: 'finished' | 'stopped'): void {
    const { step: steps, resumedFrom, last } = this;
    this.outcome = { status, result: { steps, resumedFrom, finished: status === 'finished', last } };
    this.dispose();
  }

  dispose(): void {
    this.clock.leave(this);
    this.optimizer?.dispose();
    this.optimizer = undefined;
    this.letGo?.();
    this.letGo = undefined;
  }
}

/**
 * A hash of what the steps are made of: a checkpoint is gone on with by the same training alone. What saves memory and changes no bit is not
 * in it, for that depends on who trains beside it.
 */
function nameOf(
  blocks: readonly Block[],
  args: TrainingArguments,
  { name }: Objective = CROSS_ENTROPY,
): string {
  const bitless = Object.fromEntries(BITLESS_ARGUMENTS.map((name) => [name, undefined]));
  const objective = name === CROSS_ENTROPY.name ? {} : { objective: name };
  const determining = { ...args, ...bitless, ...objective };
  const hash = createHash('sha256').update(JSON.stringify(Object.entries(determining).sort()));
  for (const { ids, labels, segments, encoder } of blocks)
    for (const numbers of [ids, labels, segments, ...(encoder ? [encoder.ids, encoder.segments] : [])])
      hash.update(numbers);
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

function notFinite(
  step: number,
  loss: number,
  gradNorm: number,
  blocks: readonly Block[],
  { checkpoints, describeRow = String }: TrainingOptions,
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
