/** What the operating system's refusals mean to the user whose file it is: the one place where its errors become UserErrors. */
import { UserError } from './errors.js';

interface Fault {
  readonly reading: string;
  readonly writing: string;
}

const both = (text: string): Fault => ({ reading: text, writing: text });

/** By the names of errno(3), and of Node.js's own errors. */
const FAULTS: Readonly<Record<string, Fault>> = {
  ENOENT: {
    reading: 'there is no such file',
    writing: 'its folder does not exist; create it first',
  },
  ENOTDIR: {
    reading: 'there is no such file',
    writing: 'a part of its path is a file, not a folder',
  },
  EACCES: {
    reading: 'no permission to read it',
    writing: 'no permission; choose a folder you may write to',
  },
  EPERM: {
    reading: 'no permission to read it',
    writing: 'no permission; choose a folder you may write to',
  },
  EISDIR: {
    reading: 'it is a folder, not a file',
    writing: 'a folder of that name is in the way',
  },
  ENOSPC: both('the disk is full; free some space and run again'),
  EDQUOT: both('the disk quota is used up; free some space and run again'),
  EFBIG: both('it grows larger than a limit here allows (ulimit -f); raise the limit and run again'),
  EROFS: both('the file system is read-only; choose another folder'),
  EEXIST: both('something of that name is in the way'),
  ENOTEMPTY: both('a folder that is not empty is in the way'),
  EXDEV: both('it would have to move to another file system'),
  ETXTBSY: both('a program that is running is in the way'),
  EBUSY: both('the system is using it'),
  ELOOP: both('its symbolic links lead in a circle'),
  ENAMETOOLONG: both('the name is too long'),
  EMFILE: both('too many files are open in this process; raise the limit (ulimit -n) and run again'),
  ENFILE: both('too many files are open on this machine; close some programs and run again'),
  ENXIO: both('it is a device, a pipe or a socket, not a file'),
  ENODEV: both('it is a device, a pipe or a socket, not a file'),
  EIO: both('the disk or the system fails at it'),
  ESTALE: both('it is on a file system that went away'),
  ERR_FS_FILE_TOO_LARGE: both('it is too large'),
  ERR_STRING_TOO_LONG: both('it is too large for a text'),
};

function faultOf(error: unknown): Fault | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code !== undefined && Object.hasOwn(FAULTS, code) ? FAULTS[code] : undefined;
}

/** What a failed read of `path` means to its user: a UserError for the faults they can mend, the error itself otherwise. */
export function readFault(path: string, error: unknown): unknown {
  const fault = faultOf(error);
  return fault === undefined ? error : new UserError(`cannot read ${path}: ${fault.reading}`);
}

/** The same of a failed write. */
export function writeFault(path: string, error: unknown): unknown {
  const fault = faultOf(error);
  return fault === undefined ? error : new UserError(`cannot write ${path}: ${fault.writing}`);
}

const READING: readonly string[] = ['read', 'stat', 'lstat', 'fstat', 'scandir', 'opendir', 'readlink'];

/** The same of any error, by what the system says of the file: for whatever no caller has put into words. */
export function systemFault(error: unknown): unknown {
  const fault = faultOf(error);
  if (fault === undefined) return error;
  const { syscall = '', path, dest } = error as NodeJS.ErrnoException & { readonly dest?: string };
  if (syscall.startsWith('spawn'))
    return new UserError(`cannot start a process (${syscall}): ${fault.reading}`);
  // Files are opened for both; for reading they are opened where there is no such folder.
  const reading = READING.includes(syscall) || (syscall === 'open' && !/\.tmp$/.test(path ?? ''));
  const what = dest ?? path ?? 'a file';
  return new UserError(
    `cannot ${reading ? 'read' : 'write'} ${what}: ${reading ? fault.reading : fault.writing}`,
  );
}
