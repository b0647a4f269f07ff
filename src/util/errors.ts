/**
 * Errors that are a user's to mend: a missing file, a misspelt key, a truncated checkpoint. The CLI prints their message as
 * one line and exits with 2; every other error is a fault of Westwind's own and keeps its stack.
 */

import { oneLine } from './visible.js';

/**
 * One line that names the thing, the place and the mend; or several, of a configuration with several faults. What names and texts of files
 * bring along (line breaks, control characters) stands in it as escapes, wherever it is shown.
 */
export class UserError extends Error {
  override readonly name = 'UserError';

  constructor(message: string | readonly string[], options?: ErrorOptions) {
    super(typeof message === 'string' ? oneLine(message) : message.map(oneLine).join('\n'), options);
  }
}

/** Memory ran out. `what`: how much there was, and what was asked for; whoever knows what took it may tell a better mend. */
export class MemoryError extends UserError {
  constructor(
    readonly what: string,
    mend: string,
  ) {
    super(`${what}${mend}`);
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
