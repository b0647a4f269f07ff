/**
 * The training loop, top to bottom: order, batches, passes, update, record, checkpoint. It trains whatever parameters it is given
 * (an adapter's, or a whole model's) and can be stopped and resumed at any step with the same bits as without the stop. Several adapters
 * of one model are trained in passes that they share, each with the bits that it gets alone; one is the list of one.
 */

import { createHash } from 'node:crypto';
import { holdPairs, pairsOfCall } from '../adapters/call.js';
import type { Parameter } from '../autograd/parameter.js';
import { IGNORE_INDEX, type Block } from '../data/index.js';
import type { CausalLM } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import { isAbort, throwIfAborted } from '../util/abort.js';
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
import {
  latestCheckpoint,
  loadStep,
  removeSuperseded,
  restoreCheckpoint,
  saveCheckpoint,
} from './checkpoint.js';
import { Evaluations, type EvaluationOptions } from './evaluations.js';
import { CROSS_ENTROPY, crossEntropy, type Objective } from './objective.js';
import { AdamW } from './optimizer.js';
import { StepOrder } from './order.js';
import { PassClock } from './pass-clock.js';
import { learningRate } from './schedule.js';
import { steeringOf, type Evaluation } from './steering.js';
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
  /** Of a mixture: the mean over the step's trained tokens of each source that it has some of. */
  readonly losses?: Readonly<Record<string, number>>;
}

/** What one training learns, tells and keeps. */
interface TrainingOptions extends EvaluationOptions {
  /** Absent: CROSS_ENTROPY. */
  readonly objective?: Objective;
  /** Where checkpoints go and a resumed run finds them. Absent: none are written. */
  readonly checkpoints?: string;
  /** The step that it goes on after, and the steps of the whole run. */
  readonly onStart?: (done: number, steps: number) => void;
  readonly onStep?: (record: StepRecord) => void;
  /** However it ended: it comes no further. */
  readonly onEnd?: () => void;
  /** The names of the blocks' sources, by their numbers. */
  readonly sources?: readonly string[];
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
  /** Its best evaluation, where it had any with a figure. With load_best_model_at_end what is trained stands as it did then. */
  readonly best?: Evaluation;
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
  for (const training of trainings) {
    checkEvaluated(training);
    if (training.objective && training.args.label_smoothing_factor)
      throw new RangeError('label_smoothing_factor is of cross-entropy, wanted 0 with another objective');
  }
  const clock = new PassClock<Trainer>();
  const trainers = trainings.map((training) => new Trainer(model, training, clock, signal));
  try {
    await unlessAborted(signal, async () => {
      for (const trainer of trainers) await trainer.start();
    });
    for (;;) {
      const running = trainers.filter(({ outcome }) => outcome === undefined);
      if (running.length === 0) return trainers.map(({ outcome }) => outcome!);
      if (signal?.aborted) {
        for (const trainer of running) await trainer.stop();
        continue;
      }
      for (const trainer of running) await trainer.askAgain();
      const going = running.filter(({ outcome, waits }) => outcome === undefined && !waits);
      if (going.length === 0) {
        if (running.every(({ waits }) => waits)) throw new Error('trainings wait for each other');
        continue;
      }
      const parts = going.map((trainer) => trainer.nextPass());
      clock.share(going.map((trainer, i) => [trainer, parts[i]!.batch.ids.length]));
      const figures = await forwardBackward(model, parts, { bf16, gradient_checkpointing, signal });
      // No more than a pass is asked for at once; and what one that was cut short leaves in the gradients must not become an update.
      if (!backend.runsAhead) await backend.synchronize();
      if (signal?.aborted) continue;
      await unlessAborted(signal, async () => {
        for (const [i, trainer] of going.entries()) await trainer.passed(figures[i]!);
      });
      // Signals and progress bars get their turn between passes.
      await new Promise(setImmediate);
    }
  } finally {
    for (const trainer of trainers) trainer.dispose();
  }
}

/** Work that an abort ends early, and nothing else. */
async function unlessAborted(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal || !isAbort(error, signal)) throw error;
  }
}

/** Throws RangeError for evaluations of nothing, and where the best would be kept nowhere. */
function checkEvaluated({ args, validation = [], evaluate, checkpoints }: Training): void {
  const steering = steeringOf(args);
  if (steering === undefined) return;
  if (validation.length === 0 && !evaluate)
    throw new RangeError(
      `eval_strategy is '${steering.eval_strategy}', wanted validation blocks or evaluate with it`,
    );
  if (steering.load_best_model_at_end && checkpoints === undefined)
    throw new RangeError('load_best_model_at_end is true, wanted a folder for checkpoints with it');
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
  /** Whether it ends where it stands is not known yet. */
  waits = false;
  private readonly steps: number;
  private readonly perEpoch: number;
  private readonly order: StepOrder;
  private readonly objective: Objective;
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
  /** Absent: it has none. */
  private readonly evaluations: Evaluations | undefined;

  constructor(
    private readonly model: CausalLM,
    private readonly training: Training,
    private readonly clock: PassClock<Trainer>,
    private readonly signal: AbortSignal | undefined,
  ) {
    const { blocks, args, checkpoints } = training;
    const steps = (this.steps = totalSteps(blocks.length, args));
    const perEpoch = (this.perEpoch = stepsPerEpoch(blocks.length, args));
    this.order = new StepOrder(blocks, args);
    const objective = training.objective ?? crossEntropy(args.label_smoothing_factor);
    this.objective = objective;
    this.run = checkpoints === undefined ? '' : nameOf(training);
    const { pairs } = training.trained;
    this.pairs = pairsOfCall(model, pairs && { pairs });
    const steering = steeringOf(args);
    if (steering)
      this.evaluations = new Evaluations(model, this.pairs, { ...training, objective }, steering, {
        steps,
        perEpoch,
      });
  }

  /** Goes on from its checkpoint, where there is one. */
  start(): Promise<void> {
    return this.ownFault(async () => {
      const { blocks, validation = [], args, checkpoints, trained, onStart } = this.training;
      if (blocks.length === 0)
        throw new UserError('there is nothing to train on: no row is left after reading and packing');
      for (const { ids, labels, encoder } of [...blocks, ...validation]) {
        checkTokens(this.model, ids, this.pairs);
        if (encoder) checkTokens(this.model, encoder.ids, this.pairs);
        checkTokens(this.model, labels, this.pairs, IGNORE_INDEX);
      }
      this.letGo = holdPairs(this.pairs);
      this.optimizer = new AdamW(trained.parameters, args);
      if (checkpoints !== undefined) {
        const { step, evaluations } = restoreCheckpoint(checkpoints, this.optimizer, this.run);
        this.resumedFrom = step;
        this.evaluations?.restore(evaluations);
      }
      this.step = this.resumedFrom;
      this.saved = this.resumedFrom;
      onStart?.(this.resumedFrom, this.steps);
      // It may have been stopped before what stands behind its step was done.
      await this.stepDone();
    });
  }

  /** What it brings to the next pass. */
  nextPass(): PassPart {
    this.underWay ??= this.begin();
    return this.underWay.step.next();
  }

  private begin(): { step: OptimizerStep; blocks: Block[] } {
    const { args } = this.training;
    const { step, perEpoch, objective, pairs } = this;
    const batches = this.order.batchesOf(Math.floor(step / perEpoch), step % perEpoch);
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
      const awaited = step === steps || due || pause || this.evaluations?.isDue(step);
      if (awaited || !model.backend.runsAhead) await this.settleAsked();
      await pause?.();
      await this.stepDone(due);
    });
  }

  /** What stands behind a step whose figures were looked at: its evaluation, its checkpoint, the end. */
  private async stepDone(due = false): Promise<void> {
    const { evaluations, step } = this;
    if (evaluations?.isDue(step)) {
      const { best } = await this.clock.apart(() => evaluations.evaluate(step, this.signal));
      if (best && evaluations.steering.load_best_model_at_end) await this.save();
    }
    if (due) await this.save();
    const ends = step === this.steps || (evaluations?.endsAt(step) ?? false);
    this.waits = ends === 'later';
    if (ends !== true) return;
    this.keepBest();
    this.end('finished');
  }

  /** Where it waits: whether it ends is known now, perhaps. */
  async askAgain(): Promise<void> {
    if (this.waits) await this.ownFault(() => this.stepDone());
  }

  /** Loads the best of its evaluations where that is what was asked for. */
  private keepBest(): void {
    const { evaluations, training, run, step } = this;
    const { checkpoints, trained, args } = training;
    if (checkpoints === undefined || !evaluations) return;
    const { best } = evaluations.decision;
    if (evaluations.steering.load_best_model_at_end && best && best.step !== step)
      loadStep(checkpoints, best.step, trained.parameters, run);
    removeSuperseded(checkpoints, args.save_total_limit, best?.step, true);
  }

  /** Ends it as the last whole step leaves it: what was asked of the step under way is dropped. */
  stop(): Promise<void> {
    return this.ownFault(async () => {
      await this.settleAsked();
      await this.save();
      this.end('stopped');
    });
  }

  private async save(): Promise<void> {
    const { checkpoints, args } = this.training;
    if (checkpoints === undefined || this.saved === this.step) return;
    await saveCheckpoint(checkpoints, this.optimizer!, {
      ...{ run: this.run, limit: args.save_total_limit },
      ...(this.evaluations && { evaluations: this.evaluations.all }),
      best: this.evaluations?.decision.best?.step,
    });
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
    const { loss, grad_norm, scalars, bySource } = await asked.figures();
    if (!Number.isFinite(loss) || !Number.isFinite(grad_norm))
      throw notFinite(step, loss, grad_norm, blocks, this.training);
    const seconds = this.clock.take(this);
    const epoch = step / this.perEpoch;
    const { steps } = this;
    const about = { step, steps, epoch, loss, grad_norm, learning_rate, tokens, trained_tokens, seconds };
    const { sources } = this.training;
    const named = [...bySource].map(([source, mean]) => [sources?.[source] ?? String(source), mean] as const);
    this.last = {
      ...about,
      ...(Object.keys(scalars).length > 0 && { scalars }),
      ...(named.length > 0 && { losses: Object.fromEntries(named) }),
    };
    this.training.onStep?.(this.last);
  }

  /** What a user can mend ends this training alone. */
  private async ownFault(body: () => void | Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.outcome = { status: 'failed', error };
      this.leave();
    }
  }

  private end(status: 'finished' | 'stopped'): void {
    const { step: steps, resumedFrom, last } = this;
    const best = this.evaluations?.decision.best;
    const result = { steps, resumedFrom, finished: status === 'finished', last, ...(best && { best }) };
    this.outcome = { status, result };
    this.leave();
  }

  private leave(): void {
    this.dispose();
    this.training.onEnd?.();
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
function nameOf({ blocks, validation = [], args, objective: { name } = CROSS_ENTROPY }: Training): string {
  const bitless = Object.fromEntries(BITLESS_ARGUMENTS.map((name) => [name, undefined]));
  const objective = name === CROSS_ENTROPY.name ? {} : { objective: name };
  const determining = { ...args, ...bitless, ...objective };
  const hash = createHash('sha256').update(JSON.stringify(Object.entries(determining).sort()));
  // What it is evaluated on decides how it ends.
  for (const { ids, labels, segments, encoder } of [...blocks, ...(steeringOf(args) ? validation : [])])
    for (const numbers of [ids, labels, segments, ...(encoder ? [encoder.ids, encoder.segments] : [])])
      hash.update(numbers);
  return hash.digest('hex').slice(0, 16);
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
