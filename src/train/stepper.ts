/** One optimizer step: gradients cleared, passes, the update. The trainer, plans and measurements all step by it. */

import type { AdapterPairs } from '../ops/pass.js';
import type { CausalLM } from '../models/model.js';
import { rowsOf, type FlatBatch } from './batch.js';
import { CROSS_ENTROPY, type Objective } from './objective.js';
import type { AdamW } from './optimizer.js';
import { forwardBackward, type PassFigures, type PassOptions, type PassPart } from './step.js';

/** What the steps of a training have in common. */
export interface Learner {
  readonly optimizer: AdamW;
  /** Absent: CROSS_ENTROPY. */
  readonly objective?: Objective | undefined;
  /** Absent: what is attached to the model. */
  readonly pairs?: AdapterPairs | undefined;
  readonly args: Pick<PassPart, 'seed' | 'neftune_noise_alpha'>;
}

/** What a step came to. */
export interface StepFigures {
  /** Mean over what the objective counts. */
  readonly loss: number;
  readonly grad_norm: number;
  /** Further means of the objective's. */
  readonly scalars: Readonly<Record<string, number>>;
  /** Of a mixture, where the objective has a loss for each trained token: each source's mean, by its number. */
  readonly bySource: ReadonlyMap<number, number>;
}

export class OptimizerStep {
  /** Rows of its passes. */
  readonly tokens: number;
  readonly trained_tokens: number;
  /** What its loss is a mean over. */
  private readonly count: number;
  private readonly objective: Objective;
  private readonly figures: PassFigures[] = [];

  /** Begins it: a pass for each of `batches`, the first of which has the number `firstPass` in its training. */
  constructor(
    private readonly learner: Learner,
    private readonly batches: readonly FlatBatch[],
    private readonly firstPass: number,
  ) {
    const { optimizer, objective = CROSS_ENTROPY } = learner;
    this.objective = objective;
    const sum = (of: (batch: FlatBatch) => number): number => batches.reduce((n, b) => n + of(b), 0);
    this.tokens = sum(rowsOf);
    this.trained_tokens = sum((b) => b.trainedTokens);
    this.count = sum((b) => objective.count(b));
    optimizer.zeroGrad();
  }

  /** Whether all its passes were asked for. */
  get complete(): boolean {
    return this.figures.length === this.batches.length;
  }

  /** What it brings to the next pass. A row's loss counts the same however the step is cut into passes. */
  next(): PassPart {
    const { objective, learner, figures } = this;
    const { seed, neftune_noise_alpha } = learner.args;
    return {
      ...{ objective, seed, neftune_noise_alpha, pairs: learner.pairs },
      batch: this.batches[figures.length]!,
      gradScale: 1 / this.count,
      pass: this.firstPass + figures.length,
    };
  }

  /** That pass was asked for. */
  passed(figures: PassFigures): void {
    this.figures.push(figures);
  }

  /** Clips and updates, once it is complete; asks for that and waits for nothing. What is returned waits for the figures. */
  update(learningRate: number): () => Promise<StepFigures> {
    const norm = this.learner.optimizer.update(learningRate);
    const mean = async (parts: readonly Promise<Float32Array>[]): Promise<number> => {
      const numbers = await Promise.all(parts);
      return numbers.reduce((sum, part) => part.reduce((a, b) => a + b, sum), 0) / this.count;
    };
    return async () => {
      const names = Object.keys(this.figures[0]!.scalars);
      const [loss, grad_norm, ...scalars] = await Promise.all([
        mean(this.figures.map(({ losses }) => losses)),
        norm,
        ...names.map((name) => mean(this.figures.map((pass) => pass.scalars[name]!))),
      ]);
      return {
        loss,
        grad_norm,
        scalars: Object.fromEntries(names.map((name, i) => [name, scalars[i]!])),
        bySource: await this.bySource(),
      };
    };
  }

  private async bySource(): Promise<Map<number, number>> {
    const sums = new Map<number, { sum: number; count: number }>();
    for (const [i, { sources }] of this.batches.entries()) {
      const losses = await this.figures[i]!.losses;
      if (losses.length !== sources?.length) continue;
      for (const [row, source] of sources.entries()) {
        const { sum, count } = sums.get(source) ?? { sum: 0, count: 0 };
        sums.set(source, { sum: sum + losses[row]!, count: count + 1 });
      }
    }
    return new Map(
      [...sums].sort(([a], [b]) => a - b).map(([source, { sum, count }]) => [source, sum / count]),
    );
  }
}

/** Asks for all passes of `steps`, which go side by side. */
export async function runPasses(
  model: CausalLM,
  steps: readonly OptimizerStep[],
  options: PassOptions,
): Promise<void> {
  for (;;) {
    const running = steps.filter(({ complete }) => !complete);
    if (running.length === 0) return;
    const figures = await forwardBackward(
      model,
      running.map((step) => step.next()),
      options,
    );
    for (const [i, step] of running.entries()) step.passed(figures[i]!);
  }
}
