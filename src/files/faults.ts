/** What a failed read means to the user who named the file. */
import { UserError } from '../util/errors.js';

const READ_FAULTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'no permission to read it',
  EPERM: 'no permission to read it',
  EISDIR: 'it is a folder, not a file',
  ELOOP: 'its symbolic links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
};

/** A UserError for the faults that a user can mend, the error itself otherwise. */
export function readFault(path: string, error: unknown): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const fault = code === undefined ? undefined : READ_FAULTS[code];
  return fault === undefined ? error : new UserError(`cannot read ${path}: ${fault}`);
}
