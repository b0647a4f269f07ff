/**
 * Files that appear whole or not at all: the content goes to a temporary file in the same folder, is flushed to the disk, and
 * takes its name by a rename, which POSIX makes atomic; the folder is flushed last so that the name itself survives a crash.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  write,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { writeFault } from './faults.js';
import { readText } from './read.js';

let serial = 0;

const writeSome = promisify(write);
const flush = promisify(fsync);

/**
 * A file under construction: write to it, then either `commit` (it replaces `path`) or `abort` (no trace is left). What is large is written
 * and flushed behind the event loop's back.
 */
export class AtomicFile {
  readonly #temporary: string;
  readonly #fd: number;
  #open = true;

  /** `unfinished`: a file to whose end is written, which may be there already. Default: a new one. */
  constructor(
    readonly path: string,
    unfinished?: string,
  ) {
    // The process id keeps two processes that write the same path apart, the number two writers of one process.
    this.#temporary = unfinished ?? join(dirname(path), `.${basename(path)}.${process.pid}.${serial++}.tmp`);
    try {
      this.#fd = openSync(this.#temporary, unfinished === undefined ? 'wx' : 'a');
    } catch (error) {
      throw writeFault(path, error);
    }
  }

  /** Bytes so far. */
  size(): number {
    return fstatSync(this.#fd).size;
  }

  truncate(size: number): void {
    try {
      ftruncateSync(this.#fd, size);
    } catch (error) {
      throw writeFault(this.path, error);
    }
  }

  /** Appends all bytes; a write may take only a part of them at once. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const length = Math.min(bytes.byteLength - done, 1 << 30);
        done += (await writeSome(this.#fd, bytes, done, length)).bytesWritten;
      }
    } catch (error) {
      throw writeFault(this.path, error);
    }
  }

  async commit(): Promise<void> {
    await this.finish();
    this.publish();
    syncFolder(dirname(this.path));
  }

  /** The first half of `commit`: all is on the disk, under the temporary name still. */
  async finish(): Promise<void> {
    try {
      await flush(this.#fd);
      this.#close();
    } catch (error) {
      throw writeFault(this.path, error);
    }
  }

  /** The same, with all that the file holds. */
  finishWith(data: string | Uint8Array): void {
    try {
      writeFileSync(this.#fd, data);
      fsyncSync(this.#fd);
      this.#close();
    } catch (error) {
      throw writeFault(this.path, error);
    }
  }

  /** The second half: the file takes its name. Its folder is not flushed. */
  publish(): void {
    try {
      renameSync(this.#temporary, this.path);
    } catch (error) {
      throw writeFault(this.path, error);
    }
  }

  /** Safe to call at any time, also after `commit`. */
  abort(): void {
    this.#close();
    rmSync(this.#temporary, { force: true });
  }

  #close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** Writes a whole file at once. Throws UserError for a full disk, missing permission, a read-only or missing folder. */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const file = new AtomicFile(path);
  try {
    file.finishWith(data);
    file.publish();
    syncFolder(dirname(path));
  } finally {
    file.abort();
  }
}

/** As `writeFileAtomic`, but a file that holds just that is left alone. */
export function writeIfChanged(path: string, text: string): void {
  if (!existsSync(path) || readText(path) !== text) writeFileAtomic(path, text);
}

/** Whether a file's name is that of one under construction. */
export function isUnfinished(name: string): boolean {
  return /^\..+\.\d+\.\d+\.tmp$/.test(name);
}

/** Flushes the names in a folder to the disk. Throws UserError where the system refuses. */
export function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw writeFault(folder, error);
  }
}
