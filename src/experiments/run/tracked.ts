/** A task of a run as trackers are told of it: from its own records. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { EvaluationRecord } from '../../train/evaluations.js';
import type { StepRecord } from '../../train/trainer.js';
import type { ResolvedConfig } from '../config/index.js';
import { RUN_FILES, TASK_FILES } from '../store/layout.js';
import type { MethodResult, TaskResult } from '../store/results.js';
import type { ScalarEvent, Scalars, TrackedRun, TrackedTask } from '../trackers/tracker.js';

/** The step's figures by the names that transformers gives them. */
export function stepScalars(record: StepRecord): Scalars {
  const losses = Object.fromEntries(
    Object.entries(record.losses ?? {}).map(([source, loss]) => [`train/loss/${source}`, loss]),
  );
  return {
    'train/loss': record.loss,
    'train/grad_norm': record.grad_norm,
    'train/learning_rate': record.learning_rate,
    'train/epoch': record.epoch,
    ...losses,
    'train/tokens_per_second': record.tokens / record.seconds,
  };
}

const EVALUATED = 'eval/loss';

/** An evaluation's figures by the names that transformers gives them, the loss last: who has that has all of them. */
function evaluationScalars({ loss, metrics = {}, seconds }: EvaluationRecord): Scalars {
  const figures = Object.entries(metrics).map(([name, figure]) => [`eval/${name}`, figure] as const);
  return { ...Object.fromEntries(figures), 'eval/runtime': seconds, [EVALUATED]: loss };
}

/** A method's figures: those of the tuned model are transformers' eval, or its test where it was evaluated on its way. */
export function evalScalars({ method, metrics, checks = {} }: MethodResult, evaluated = false): Scalars {
  const group = method === 'tuned' ? (evaluated ? 'test' : 'eval') : `eval_${method}`;
  const figures = Object.entries(metrics);
  const checked = Object.entries(checks).map(([name, { mean }]) => [`check_${name}`, mean] as const);
  return Object.fromEntries([...figures, ...checked].map(([name, mean]) => [`${group}/${name}`, mean]));
}

export class RecordedTask implements TrackedTask {
  readonly folder: string;
  readonly stepFigures = Object.keys(stepScalars({} as StepRecord));
  readonly evaluationFigure = EVALUATED;
  /** Once it is finished. */
  result: TaskResult | undefined;

  constructor(
    private readonly runFolder: string,
    readonly name: string,
    readonly trackers: Pick<ResolvedConfig, 'mlflow'>,
  ) {
    this.folder = join(runFolder, name);
  }

  get finished(): boolean {
    return this.result !== undefined;
  }

  about(): TrackedRun {
    const { config, ...run } = RUN_FILES.manifest.read(this.runFolder, 'nothing is told of it');
    const { tasks, ...common } = config;
    return { ...run, settings: { ...common, ...tasks.find(({ name }) => name === this.name) } };
  }

  steps(from: number): { readonly events: readonly ScalarEvent[]; readonly end: number } {
    const { records, end } = TASK_FILES.steps.readFrom(this.folder, from);
    const events = records.map((record) => ({
      wallTime: record.time,
      step: record.step,
      scalars: stepScalars(record),
    }));
    return { events, end };
  }

  evaluations(): ScalarEvent[] {
    return TASK_FILES.evaluations.read(this.folder).map((record) => ({
      wallTime: record.time,
      step: record.step,
      scalars: evaluationScalars(record),
    }));
  }

  figures(): ScalarEvent[] {
    const { methods = [], training } = this.result ?? {};
    if (methods.length === 0) return [];
    const wallTime = statSync(TASK_FILES.result.in(this.folder)).mtimeMs / 1000;
    return methods.map((of) => {
      const step = of.method === 'tuned' ? (training?.steps ?? 0) : 0;
      return { wallTime, step, scalars: evalScalars(of, training?.metric_for_best_model !== undefined) };
    });
  }
}
