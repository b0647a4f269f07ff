/** Regular files that are read in places, and are open as long as somebody holds what reads them. */

import { closeSync, fstatSync, readSync, statSync, type Stats } from 'node:fs';
import { UserError } from './errors.js';
import { readFault } from './faults.js';
import { openRegular } from './read.js';

export class PlacedFile {
  readonly size: number;
  private readonly fd: number;

  /** Throws UserError as `openRegular`. */
  constructor(readonly path: string) {
    ({ fd: this.fd, size: this.size } = openRegular(path));
    FILES.register(this, this.fd);
  }

  /** Fills `bytes` with those that stand at a place. Throws UserError where the file ends before. */
  read(bytes: Uint8Array, place: number): void {
    try {
      for (let done = 0; done < bytes.length;) {
        const read = readSync(this.fd, bytes, done, bytes.length - done, place + done);
        if (read === 0) throw new UserError(`${this.path} became shorter while it was read`);
        done += read;
      }
    } catch (error) {
      throw readFault(this.path, error);
    }
  }

  /** Tells what is open from what was changed since. */
  stamp(): string {
    return stampOf(fstatSync(this.fd));
  }
}

/** Tells a file from what was changed, or put in its place, since; '' for what is not there. */
export function stampAt(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats ? stampOf(stats) : '';
}

/** Of a file that is no longer what it was. */
export function changed(path: string): UserError {
  return new UserError(`${path} was changed while it was read; run again once nobody writes to it`);
}

const stampOf = ({ ino, size, mtimeMs }: Stats): string => `${ino} ${size} ${mtimeMs}`;

const FILES = new FinalizationRegistry<number>((fd) => closeSync(fd));
