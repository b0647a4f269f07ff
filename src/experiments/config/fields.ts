/** Kinds of fields that a configuration has, and sections of them. */

import { z } from 'zod';
import { Pattern } from '../../util/pattern.js';

/** Separates the allowed keys in the message of an `unrecognized_keys` issue: problems.ts makes the user's line of them. */
export const KEY_SEPARATOR = '\n';

/** An object that refuses unknown keys, and says in the issue's message which ones it knows. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? Object.keys(shape).join(KEY_SEPARATOR) : undefined,
  });
}

export const text = (description: string) => z.string().min(1).describe(description);
export const whole = (least: number, description: string, most = 2 ** 31 - 1) =>
  z.int().min(least).max(most).describe(description);
export const seed = (description: string) =>
  z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .describe(description);
export const flag = (description: string) => z.boolean().describe(description);
export const share = (description: string) => z.number().min(0).max(1).describe(description);
export const positive = (description: string) => z.number().gt(0).describe(description);
export const atLeastZero = (description: string) => z.number().min(0).describe(description);
/** A probability of dropping, or a decay rate: 1 would leave nothing. */
export const belowOne = (description: string) => z.number().min(0).lt(1).describe(description);

export const expression = text('all-linear, or a regular expression.').refine(compiles, {
  error: 'is not a regular expression',
});

function compiles(source: string): boolean {
  try {
    return new Pattern(source, 'target_modules') instanceof Pattern;
  } catch {
    return false;
  }
}
