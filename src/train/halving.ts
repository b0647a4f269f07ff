/**
 * Asynchronous successive halving by stopping: which of the trainings that are tried stop early for the sake of better ones (Li et al. 2018,
 * "A System for Massively Parallel Hyperparameter Tuning"). A trial is asked at its rungs, and goes on where it is among the best
 * 1 / reduction_factor of those that came there before it, itself among them; where these are fewer than one, the best goes on. That is
 * Optuna's SuccessiveHalvingPruner; Ray's ASHAScheduler asks at the same rungs.
 */

export interface Halving {
  /** Of so many trials one goes on, and so many times as long until it is asked again. */
  readonly reduction_factor: number;
  /** The evaluation, from 1, at which a trial is asked first. */
  readonly grace_period: number;
  readonly greater_is_better: boolean;
}

/** Whether a trial is asked at an evaluation, from 1: at grace_period, and at that by each power of reduction_factor. */
export function isRung(
  evaluation: number,
  { reduction_factor, grace_period }: Pick<Halving, 'reduction_factor' | 'grace_period'>,
): boolean {
  let rung = grace_period;
  while (rung < evaluation) rung *= reduction_factor;
  return rung === evaluation;
}

/** How a trial stands at a rung. */
export interface Standing {
  /** Trials with a figure there, itself among them. */
  readonly tried: number;
  /** What a figure must reach to go on; undefined where there is none. */
  readonly cutoff: number | undefined;
  readonly stop: boolean;
}

/**
 * @param figure the trial's; one that is no number stops it
 * @param before those of the trials that came to this rung before it
 */
export function standingOf(
  figure: number,
  before: readonly number[],
  { reduction_factor, greater_is_better }: Pick<Halving, 'reduction_factor' | 'greater_is_better'>,
): Standing {
  const figures = [...before, figure].filter((one) => !Number.isNaN(one));
  const best = figures.sort((a, b) => (greater_is_better ? b - a : a - b));
  const tried = best.length;
  const cutoff = best[Math.max(1, Math.floor(tried / reduction_factor)) - 1];
  const reached = cutoff !== undefined && (greater_is_better ? figure >= cutoff : figure <= cutoff);
  return { tried, cutoff, stop: !reached };
}
