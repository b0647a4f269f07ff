/** Settings of how a model answers and how its answers are looked at: generation, the choice of a label, further checks. */

import { basename, extname } from 'node:path';
import { z } from 'zod';
import { MEASURES } from '../../../eval/measures.js';
import { BATCH_SIZE } from '../../../generate/prompts.js';
import { SAMPLING_DEFAULTS, type SamplingOptions } from '../../../generate/sampler.js';
import {
  flag,
  part,
  positive,
  section,
  setting,
  text,
  whole,
  withDefaults,
  type Given,
  type Values,
} from '../../../util/settings.js';

export const GENERATION = {
  do_sample: setting(flag, 'Draw tokens instead of taking the likeliest.', {
    default: SAMPLING_DEFAULTS.do_sample,
  }),
  temperature: setting(positive, 'Divides the logits before drawing.', {
    default: SAMPLING_DEFAULTS.temperature,
  }),
  top_p: setting(part, 'Draw from the likeliest tokens of this mass.', { default: SAMPLING_DEFAULTS.top_p }),
  top_k: setting(whole(0), 'Draw from this many likeliest tokens; 0: all.', {
    default: SAMPLING_DEFAULTS.top_k,
  }),
  // It shows in a result only where a row's bits depend on its batch: see hash.ts.
  batch_size: setting(whole(1), 'Sequences generated at once.', { default: BATCH_SIZE }),
};

export interface ResolvedGeneration extends SamplingOptions {
  readonly batch_size: number;
  readonly max_new_tokens: number;
  readonly baseline_max_new_tokens: number;
}

export function resolveGeneration(
  given: Given<typeof GENERATION>,
  seed: number,
): Omit<ResolvedGeneration, 'max_new_tokens' | 'baseline_max_new_tokens'> {
  return { ...withDefaults(GENERATION, given), seed };
}

export const SCORINGS = ['generate', 'likelihood', 'both'] as const;
export type Scoring = (typeof SCORINGS)[number];

/** Of the tasks that have labels. */
export const SCORING = {
  scoring: setting(
    z.enum(SCORINGS),
    'Read the answer from generated text, take the likeliest label, or do both.',
    { default: 'generate' as const },
  ),
  likelihood_normalization: setting(
    z.enum(['none', 'length']),
    'The likeliest label is that of the highest likelihood as a whole (none), or for each of its characters (length), as acc and acc_norm of ' +
      'lm-evaluation-harness.',
    { default: 'none' as const },
  ),
};

export type LikelihoodNormalization = z.output<(typeof SCORING)['likelihood_normalization']['type']>;

/** Whether a check's name is a file of the user's. */
export function isCheckFile(name: string): boolean {
  return /\.[cm]?[jt]s$/.test(name);
}

/** The measures by what they are, those that share it together. */
function measureWords(): string {
  const names = new Map<string, string[]>();
  for (const [name, { about }] of Object.entries(MEASURES))
    names.set(about, [...(names.get(about) ?? []), name]);
  return [...names].map(([about, of]) => `${of.join(', ')} (${about})`).join(', ');
}

const CHECK = {
  check: text
    .describe(
      `${measureWords()}, or a .ts, .js or .mjs file, ` +
        'relative to this configuration, whose default export gives a number or true or false for a row.',
    )
    .refine((name) => Object.hasOwn(MEASURES, name) || isCheckFile(name), {
      error: `is no check: it is one of ${Object.keys(MEASURES).join(', ')}, or a file that ends in .ts, .js or .mjs`,
    }),
  name: setting(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, {
      error: 'is no name for a column: use letters, digits, _, - and ., 64 at most',
    }),
    'The column’s name. Default: the check’s, or the file’s without its ending.',
  ),
  min: setting(z.number(), 'The command fails where the mean over the test rows is below.'),
  max: setting(z.number(), 'The command fails where the mean over the test rows is above.'),
};

export const check = section(CHECK)
  .refine(({ check, name }) => name !== undefined || !/(^|[\\/])__proto__\.\w+$/.test(check), {
    error: "needs a name: that of its file is no column's",
  })
  .refine(({ min, max }) => min === undefined || max === undefined || min <= max, {
    error: 'has a min above its max',
  });

/** A figure of the answers, by name or by a file of the user's, and its bounds. */
export interface ResolvedCheck {
  readonly check: string;
  /** The column's. */
  readonly name: string;
  readonly min?: number;
  readonly max?: number;
}

export function resolveCheck({ check, name, min, max }: Values<typeof CHECK>): ResolvedCheck {
  return {
    check,
    name: name ?? (isCheckFile(check) ? basename(check, extname(check)) : check),
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
  };
}
