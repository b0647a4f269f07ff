/**
 * Which steps are evaluated, which evaluation is the best, when a training stops for want of a better one, and which checkpoints are kept: as
 * transformers' Trainer and its EarlyStoppingCallback decide it. All of it follows from the evaluations so far, so that a training that is
 * gone on with decides the same.
 */

import { checkAtLeastZero, checkNumber, checkOneOf, checkWhole } from '../util/checks.js';
import { filled, type Some } from '../util/defaults.js';

export const EVAL_STRATEGIES = ['no', 'steps', 'epoch'] as const;

/** Named as transformers' TrainingArguments, and what its EarlyStoppingCallback takes. */
export interface Steering {
  /** When it is evaluated; a training that is not is not steered at all. */
  readonly eval_strategy: (typeof EVAL_STRATEGIES)[number];
  /** Steps between evaluations; below 1 a share of all steps. */
  readonly eval_steps: number;
  /** What is trained ends as it was at its best evaluation. */
  readonly load_best_model_at_end: boolean;
  /** `loss`, or another of an evaluation's figures. */
  readonly metric_for_best_model: string;
  readonly greater_is_better: boolean;
  /** It stops after so many evaluations in a row that are no better than the best before; 0: never. */
  readonly early_stopping_patience: number;
  /** By more than this an evaluation must be better, that patience begins anew. */
  readonly early_stopping_threshold: number;
}

/** What stands where nothing is said; `greater_is_better` follows from the metric. */
export const STEERING_DEFAULTS: Omit<Steering, 'greater_is_better'> = {
  eval_strategy: 'no',
  eval_steps: 0,
  load_best_model_at_end: false,
  metric_for_best_model: 'loss',
  early_stopping_patience: 0,
  early_stopping_threshold: 0,
};

/** With all defaults; undefined: it is not evaluated. */
export function steeringOf(given: Some<Steering>): Steering | undefined {
  const { metric_for_best_model, ...said } = filled(STEERING_DEFAULTS, given);
  if (said.eval_strategy === 'no') return undefined;
  const metric = metric_for_best_model.replace(/^eval_/, '');
  const greater_is_better = given.greater_is_better ?? !metric.endsWith('loss');
  return { ...said, metric_for_best_model: metric, greater_is_better };
}

/** Throws RangeError or TypeError, which names the argument. */
export function checkSteering(given: Some<Steering>): void {
  const said = filled(STEERING_DEFAULTS, given);
  const { eval_strategy, eval_steps } = said;
  checkOneOf('eval_strategy', eval_strategy, EVAL_STRATEGIES);
  if (eval_strategy === 'steps')
    checkNumber('eval_steps', eval_steps, 'a whole number of steps, or a share of them below 1', (n) =>
      n < 1 ? n > 0 : Number.isInteger(n),
    );
  checkWhole('early_stopping_patience', said.early_stopping_patience, 0);
  checkAtLeastZero('early_stopping_threshold', said.early_stopping_threshold);
  if (eval_strategy === 'no' && (said.load_best_model_at_end || said.early_stopping_patience > 0))
    throw new RangeError(
      "eval_strategy is 'no', wanted steps or epoch for load_best_model_at_end and early_stopping_patience",
    );
}

/** The steps of a training. */
interface Course {
  readonly steps: number;
  readonly perEpoch: number;
}

type Frequency = Pick<Steering, 'eval_strategy' | 'eval_steps'>;

/** Whether an evaluation stands behind this step (from 1): one does behind the last, whatever the number of steps. */
export function isEvaluated(how: Frequency, step: number, course: Course): boolean {
  if (how.eval_strategy === 'no') return false;
  return step === course.steps || step % stepsBetween(how, course) === 0;
}

/** How many evaluations a training has that goes to its end. */
export function evaluationCount(how: Frequency, course: Course): number {
  if (how.eval_strategy === 'no') return 0;
  return Math.ceil(course.steps / stepsBetween(how, course));
}

function stepsBetween({ eval_strategy, eval_steps }: Frequency, { steps, perEpoch }: Course): number {
  if (eval_strategy === 'epoch') return perEpoch;
  return eval_steps < 1 ? Math.ceil(steps * eval_steps) : eval_steps;
}

/** What an evaluation was for the decision. */
export interface Evaluation {
  /** The step that it stands behind. */
  readonly step: number;
  /** Of metric_for_best_model. */
  readonly figure: number;
}

/** What follows from the evaluations so far. */
export interface Decision {
  /** Of equal ones the first; undefined where not one has a figure that is a number. */
  readonly best: Evaluation | undefined;
  /** Training ends here. */
  readonly stop: boolean;
}

/** @param evaluations all of them, in the order of their steps */
export function decide(
  { greater_is_better, early_stopping_patience: patience, early_stopping_threshold: threshold }: Steering,
  evaluations: readonly Evaluation[],
): Decision {
  let best: Evaluation | undefined;
  let waited = 0;
  for (const [i, evaluation] of evaluations.entries()) {
    const { figure } = evaluation;
    const before = best?.figure ?? (greater_is_better ? -Infinity : Infinity);
    const better = greater_is_better ? figure > before : figure < before;
    const enough = better && Math.abs(figure - before) > threshold;
    // The first has none before it to be better than.
    waited = enough || i === 0 ? 0 : waited + 1;
    if (better) best = evaluation;
  }
  return { best, stop: patience > 0 && waited >= patience };
}

/**
 * The checkpoints that `save_total_limit` lets go, of those of `steps`, ascending: the oldest, but never the newest, which a resumed run goes
 * on from, nor the best. Once training has ended, a limit of 1 keeps the best alone. 0: keeps all.
 */
export function superseded(
  steps: readonly number[],
  limit: number,
  best: number | undefined,
  ended = false,
): number[] {
  if (limit <= 0) return [];
  if (ended && limit === 1 && best !== undefined && steps.includes(best))
    return steps.filter((step) => step !== best);
  const needed = new Set([...steps.slice(-1), ...steps.filter((step) => step === best)]);
  const others = steps.filter((step) => !needed.has(step));
  const room = Math.max(0, limit - needed.size);
  return others.slice(0, Math.max(0, others.length - room));
}
