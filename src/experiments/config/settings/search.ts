/** Settings of a search, which draws the runs of a study from its lists and ranges. */

import { z } from 'zod';
import type { Halving } from '../../../train/halving.js';
import { steeringOf } from '../../../train/steering.js';
import { seed, setting, text, whole, withDefaults, type Values } from '../../../util/settings.js';
import type { ResolvedTraining } from './tuning.js';

/** More is a slip, not a study. */
export const MOST_POINTS = 10_000;

/** Settings of asha, by the names that Ray Tune and Optuna have. */
const HALVING = {
  reduction_factor: setting(
    whole(2, MOST_POINTS),
    'Of asha: of so many trials one goes on, and so many times as long until it is asked again.',
    { default: 4 },
  ),
  grace_period: setting(whole(1), 'Of asha: the evaluation, from 1, at which a trial can first be stopped.', {
    default: 1,
  }),
};

export const SEARCH = {
  method: z
    .enum(['random', 'asha'])
    .describe(
      'random: each trial is drawn for itself. asha: so too, and one that is not among the best at an evaluation stops there.',
    ),
  trials: whole(1, MOST_POINTS).describe(
    'How many are drawn of each task; where seed is a list, each of them runs with all of it.',
  ),
  seed: setting(seed, 'Which are drawn.', { default: 42 }),
  metric: setting(
    text,
    'What says which trial is best, on the validation rows: loss, or a figure of the task. Default: metric_for_best_model.',
  ),
  ...HALVING,
  trial: setting(whole(1), 'Which of them a run is: it stands in the run’s own copy of its configuration.', {
    bits: false,
  }),
  before: setting(
    z.string().regex(/^[0-9a-f]{12}$/),
    'Of asha: what the trials before it are. It stands in the run’s own copy of its configuration.',
  ),
};

/** What a run of a search knows of it. */
export interface ResolvedSearch {
  readonly method: z.output<(typeof SEARCH)['method']>;
  readonly trials: number;
  readonly seed: number;
  readonly trial: number;
  readonly metric?: string;
  /** Of asha. */
  readonly halving?: TrialHalving;
}

/** How trials are stopped. */
interface TrialHalving extends Pick<Halving, keyof typeof HALVING> {
  /** What the trials before it are; absent: it is the first. */
  readonly before?: string;
}

export function resolveSearch({
  method,
  trials,
  metric,
  trial = 1,
  before,
  ...given
}: Values<typeof SEARCH>): ResolvedSearch {
  const { seed } = withDefaults({ seed: SEARCH.seed }, given);
  const halving = { ...withDefaults(HALVING, given), ...(before !== undefined && { before }) };
  return {
    ...{ method, trials, seed, trial },
    ...(metric !== undefined && { metric: metric.replace(/^eval_/, '') }),
    ...(method === 'asha' && { halving }),
  };
}

/** By what a search ranks trials, and which way; undefined where they are not evaluated. */
export function searchMetric(
  { metric }: Pick<ResolvedSearch, 'metric'>,
  training: ResolvedTraining,
): { readonly metric: string; readonly greater_is_better: boolean } | undefined {
  const steering = steeringOf(training);
  if (!steering) return undefined;
  const { metric_for_best_model, greater_is_better } = steering;
  if (metric === undefined || metric === metric_for_best_model)
    return { metric: metric_for_best_model, greater_is_better };
  return { metric, greater_is_better: !metric.endsWith('loss') };
}

/** What of a search does not fit a task that is trained: the setting, and what is wrong with it. */
export function* searchFaults(
  given: Values<typeof SEARCH>,
  training: ResolvedTraining,
  /** What the task's answers can be scored by. */
  figures: readonly string[],
): Generator<readonly [key: keyof typeof SEARCH, message: string]> {
  const { method, metric } = resolveSearch(given);
  if (method !== 'asha')
    for (const key of Object.keys(HALVING) as (keyof typeof HALVING)[])
      if (given[key] !== undefined) yield [key, 'goes with method: asha'];
  const steering = steeringOf(training);
  if (!steering) {
    const needs =
      "needs evaluations: set training.eval_strategy to steps or epoch, and give the task 'validation' rows";
    if (method === 'asha') yield ['method', `asha ${needs}`];
    else if (metric !== undefined) yield ['metric', needs];
    return;
  }
  const known = ['loss', ...figures];
  if (metric === undefined) return;
  if (!known.includes(metric))
    yield ['metric', `must be one of ${known.join(', ')}; it is ${JSON.stringify(metric)}`];
  else if (metric !== 'loss' && steering.metric_for_best_model === 'loss')
    yield [
      'metric',
      `is ${metric}, which is not measured where the best is chosen by loss: set training.metric_for_best_model: ${metric}`,
    ];
}

/** Numbers from `low` to `high`, both among them, that a search draws from. */
export const range = z.strictObject({
  low: z.number().describe('The least.'),
  high: z.number().describe('The greatest.'),
  log: z.boolean().optional().describe('Draw evenly over the logarithms. Default false.'),
});

export type Range = z.output<typeof range>;

/** Whether a field's value is meant for a range: no section has such keys. */
export function isRange(value: object): boolean {
  return 'low' in value || 'high' in value;
}

/** What is wrong with a range; undefined: nothing. */
export function rangeFault(value: unknown): string | undefined {
  const parsed = range.safeParse(value);
  if (!parsed.success) return 'is a range, which takes low and high, two numbers, and log, true or false';
  const { low, high, log } = parsed.data;
  if (low >= high) return `is a range whose low (${low}) must be below its high (${high})`;
  return log && low <= 0 ? `is a range over logarithms, whose low (${low}) must be above 0` : undefined;
}
