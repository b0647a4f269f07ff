/** The evaluations of one training: what its validation rows cost, what else is asked of it, and what was decided of them. */

import type { Block } from '../data/index.js';
import type { CausalLM } from '../models/model.js';
import type { AdapterPairs } from '../ops/pass.js';
import { throwIfAborted } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { own } from '../util/own.js';
import { flatten } from './batch.js';
import { CROSS_ENTROPY, type Objective } from './objective.js';
import { evaluatePass } from './step.js';
import { decide, isEvaluated, type Decision, type Evaluation, type Steering } from './steering.js';

/** What an evaluation came to: a line of eval.jsonl. */
export interface EvaluationRecord {
  /** The step that it stands behind, from 1. */
  readonly step: number;
  readonly epoch: number;
  /** Mean over the validation rows' trained tokens. */
  readonly loss: number;
  /** What else was measured, by name. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** It is better than all before it. */
  readonly best: boolean;
  readonly seconds: number;
}

/** What an evaluation is made of. */
export interface EvaluationOptions {
  /** Rows that are not trained on. */
  readonly validation?: readonly Block[];
  /** Measures what is trained, as it stands, further; its figures may be metric_for_best_model. */
  readonly evaluate?: (signal: AbortSignal | undefined) => Promise<Readonly<Record<string, number>>>;
  /** What evaluations came to, as they come; again where a resumed training repeats them. */
  readonly onEvaluate?: (record: EvaluationRecord) => void;
  /**
   * Whether training ends behind the evaluation of this number, from 1, for the sake of others; asked again where a resumed training is there
   * again. 'later': that follows from what is trained beside it, and is asked again when that has come further.
   */
  readonly outdone?: (evaluation: number) => boolean | 'later';
}

/** How a training passes over what it is evaluated on. */
interface EvaluatedTraining extends EvaluationOptions {
  readonly objective?: Objective;
  readonly args: { readonly bf16: boolean; readonly per_device_train_batch_size: number };
}

/** Steps and epochs, for when it is evaluated. */
interface Course {
  readonly steps: number;
  readonly perEpoch: number;
}

export class Evaluations {
  private made: readonly Evaluation[] = [];
  decision: Decision = { best: undefined, stop: false };

  constructor(
    private readonly model: CausalLM,
    private readonly pairs: AdapterPairs,
    private readonly training: EvaluatedTraining,
    readonly steering: Steering,
    private readonly course: Course,
  ) {}

  /** Those up to a checkpoint. */
  get all(): readonly Evaluation[] {
    return this.made;
  }

  /** Goes on behind these. */
  restore(made: readonly Evaluation[]): void {
    this.made = made;
    this.decision = decide(this.steering, made);
  }

  /** Whether training ends behind this step, before its last; 'later': it waits. */
  endsAt(step: number): boolean | 'later' {
    if (this.decision.stop) return true;
    return this.made.at(-1)?.step === step && (this.training.outdone?.(this.made.length) ?? false);
  }

  /** Whether one stands behind this step and was not made. */
  isDue(step: number): boolean {
    return step > (this.made.at(-1)?.step ?? 0) && isEvaluated(this.steering, step, this.course);
  }

  /** Makes one. Rejects with an AbortError once `signal` is aborted, and with a UserError where the metric is not among its figures. */
  async evaluate(step: number, signal: AbortSignal | undefined): Promise<EvaluationRecord> {
    const started = performance.now();
    const { validation = [], evaluate, onEvaluate } = this.training;
    const means = await this.means(validation, signal);
    const figures = { ...means, ...(await evaluate?.(signal)) };
    throwIfAborted(signal);
    const name = this.steering.metric_for_best_model;
    const figure = own(figures, name);
    if (figure === undefined)
      throw new UserError(
        `metric_for_best_model is '${name}', and an evaluation gives ${Object.keys(figures).join(', ') || 'nothing'}`,
      );
    this.restore([...this.made, { step, figure }]);
    const { loss = Number.NaN, ...metrics } = figures;
    const record: EvaluationRecord = {
      ...{ step, epoch: step / this.course.perEpoch, loss },
      ...(Object.keys(metrics).length > 0 && { metrics }),
      ...{ best: this.decision.best?.step === step, seconds: (performance.now() - started) / 1000 },
    };
    onEvaluate?.(record);
    return record;
  }

  /** The objective's figures over blocks, `loss` among them; as many blocks go through at once as in training. */
  private async means(
    blocks: readonly Block[],
    signal: AbortSignal | undefined,
  ): Promise<Readonly<Record<string, number>>> {
    const { objective = CROSS_ENTROPY, args } = this.training;
    const { bf16, per_device_train_batch_size: size } = args;
    const sums = new Map<string, number>();
    let count = 0;
    for (let first = 0; first < blocks.length; first += size) {
      const batch = flatten(blocks.slice(first, first + size));
      const { losses, scalars } = await evaluatePass(
        this.model,
        { batch, objective, pairs: this.pairs },
        { bf16, signal },
      );
      count += objective.count(batch);
      for (const [name, numbers] of Object.entries({ loss: losses, ...scalars }))
        sums.set(
          name,
          numbers.reduce((a, b) => a + b, sums.get(name) ?? 0),
        );
    }
    return Object.fromEntries([...sums].map(([name, sum]) => [name, sum / count]));
  }
}
