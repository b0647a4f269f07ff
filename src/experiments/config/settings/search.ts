/** Settings of a search, which draws the runs of a study from its lists and ranges. */

import { z } from 'zod';
import { seed, setting, whole, withDefaults, type Values } from '../../../util/settings.js';

/** More is a slip, not a study. */
export const MOST_POINTS = 10_000;

export const SEARCH = {
  method: z.enum(['random']).describe('random: each trial is drawn for itself.'),
  trials: whole(1, MOST_POINTS).describe(
    'How many are drawn of each task; where seed is a list, each of them runs with all of it.',
  ),
  seed: setting(seed, 'Which are drawn.', { default: 42 }),
  trial: setting(whole(1), 'Which of them a run is: it stands in the run’s own copy of its configuration.', {
    bits: false,
  }),
};

/** What a run of a search knows of it. */
export interface ResolvedSearch {
  readonly method: z.output<(typeof SEARCH)['method']>;
  readonly trials: number;
  readonly seed: number;
  readonly trial: number;
}

export function resolveSearch({
  method,
  trials,
  trial = 1,
  ...given
}: Values<typeof SEARCH>): ResolvedSearch {
  const { seed } = withDefaults({ seed: SEARCH.seed }, given);
  return { method, trials, seed, trial };
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
