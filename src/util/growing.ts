/**
 * Files that grow by whole records, and lose what a kill left of a half one. Between records none is open: a process that works on
 * hundreds of them keeps no handle of each.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { UserError } from './errors.js';
import { writeFault } from './faults.js';

/** Windows has no such flag, and no such pipes. */
const NO_WAIT = (constants.O_NONBLOCK as number | undefined) ?? 0;

export class GrowingFile {
  #size: number;

  /** Cuts the file, which is made where it is missing, behind its first `whole` bytes. */
  constructor(
    readonly path: string,
    whole: number,
  ) {
    this.#size = whole;
    this.#withFile((file) => ftruncateSync(file, whole));
  }

  get size(): number {
    return this.#size;
  }

  /** Throws UserError for a full disk and the like; what was written of the record then is written over by the next. */
  append(record: Uint8Array): void {
    this.#withFile((file) => {
      for (let done = 0; done < record.length;)
        done += writeSync(file, record, done, record.length - done, this.#size + done);
    });
    this.#size += record.length;
  }

  #withFile(work: (file: number) => void): void {
    let file: number | undefined;
    try {
      file = openSync(this.path, constants.O_RDWR | constants.O_CREAT | NO_WAIT, 0o666);
      if (!fstatSync(file).isFile()) throw new UserError(`cannot write ${this.path}: it is no file`);
      work(file);
    } catch (error) {
      throw writeFault(this.path, error);
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
}
