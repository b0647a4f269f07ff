/**
 * A large file that appears whole or not at all, and that a killed process leaves half done for the next one: what was written waits beside
 * it, under a name that tells of what it is made.
 */

import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { AtomicFile } from './atomic.js';
import { UserError } from './errors.js';
import { writeFault } from './faults.js';
import { takeLock } from './lock.js';

/** As AtomicFile: write, then `commit`; `abort` leaves no trace, a kill what was written. */
export class ResumableFile {
  private constructor(
    private readonly file: AtomicFile,
    private readonly lock: string,
    /** Bytes that an earlier process wrote. */
    readonly found: number,
  ) {}

  /**
   * @param key whatever decides the bytes
   * @throws UserError where another process writes the same file, or the place cannot be written to
   */
  static open(path: string, key: readonly string[]): ResumableFile {
    const [folder, name] = [dirname(path), basename(path)];
    const lock = join(folder, `.${name}.writing.pid`);
    let holder: number | undefined;
    try {
      holder = takeLock(lock);
    } catch (error) {
      throw writeFault(path, error);
    }
    if (holder !== undefined)
      throw new UserError(
        `${path} is being written by ${holder > 0 ? `process ${holder}` : 'another process'}: wait for it, or name another file`,
      );
    try {
      const own = `.${name}.${createHash('sha256').update(key.join('\n')).digest('hex').slice(0, 16)}.partial`;
      // What was made of something else is of no use any more.
      for (const other of readdirSync(folder))
        if (other.startsWith(`.${name}.`) && other.endsWith('.partial') && other !== own)
          rmSync(join(folder, other), { force: true });
      const file = new AtomicFile(path, join(folder, own));
      return new ResumableFile(file, lock, file.size());
    } catch (error) {
      rmSync(lock, { force: true });
      throw writeFault(path, error);
    }
  }

  /** Goes on behind the first `size` bytes. */
  keep(size: number): void {
    this.file.truncate(size);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.file.write(bytes);
  }

  async commit(): Promise<void> {
    await this.file.commit();
    rmSync(this.lock, { force: true });
  }

  abort(): void {
    this.file.abort();
    rmSync(this.lock, { force: true });
  }
}
