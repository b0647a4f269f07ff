/** Reading a piece of an open file, all of it. */
import { readSync } from 'node:fs';
import { UserError } from '../util/errors.js';

const READ_CHUNK = 1 << 30; // read(2) returns at most 2 GB less a page at once

/** Fills `target` with the file's bytes from `position` on. Throws UserError where it ends before. */
export function readFully(fd: number, target: Uint8Array, position: number, path: string): void {
  for (let done = 0; done < target.byteLength;) {
    const length = Math.min(target.byteLength - done, READ_CHUNK);
    const count = readSync(fd, target, done, length, position + done);
    if (count === 0) throw new UserError(`${path}: the file ends early; it is truncated, fetch it again`);
    done += count;
  }
}
