/**
 * Errors that are a user's to mend: a missing file, a misspelt key, a truncated checkpoint. The CLI prints their message as
 * one line and exits with 2; every other error is a fault of Westwind's own and keeps its stack.
 */

/** One line that names the thing, the place and the mend. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
