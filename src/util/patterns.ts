/**
 * Regular expressions that files and configurations bring. One that repeats what repeats may need longer than anyone lives to find out that
 * it does not match, so each has a limit of time.
 */
import { createContext, Script, type Context } from 'node:vm';
import { UserError } from './errors.js';

/** Milliseconds for one text; a name takes microseconds. */
const LIMIT = 1_000;

const TEST = new Script('pattern.test(text)');
let context: Context | undefined;

/** As `pattern.test(text)`. Throws UserError that names the expression and the text where that takes too long. */
export function boundedTest(pattern: RegExp, text: string, limit = LIMIT): boolean {
  context ??= createContext(Object.create(null) as object);
  Object.assign(context, { pattern, text });
  try {
    return TEST.runInContext(context, { timeout: limit }) as boolean;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new UserError(
      `the regular expression '${pattern.source}' runs longer than ${limit / 1000} s on '${text}': write it without repetitions of repetitions`,
    );
  }
}
