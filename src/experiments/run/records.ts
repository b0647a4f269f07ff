/**
 * JSON lines that are written as they come and read back after a kill: a last line that was cut off is dropped, and written again by
 * whoever goes on.
 */

import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { writeFault } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';

/** Appends records to a file, each in one write. */
export class RecordWriter<T> {
  private readonly file: number;

  constructor(private readonly path: string) {
    const whole = existsSync(path) ? wholeLines(path) : '';
    try {
      this.file = openSync(path, existsSync(path) ? 'r+' : 'w+');
      ftruncateSync(this.file, Buffer.byteLength(whole));
      this.at = Buffer.byteLength(whole);
    } catch (error) {
      throw writeFault(path, error);
    }
  }

  private at: number;

  append(record: T): void {
    const line = Buffer.from(JSON.stringify(record) + '\n');
    try {
      for (let done = 0; done < line.length;) {
        done += writeSync(this.file, line, done, line.length - done, this.at + done);
      }
    } catch (error) {
      throw writeFault(this.path, error);
    }
    this.at += line.length;
  }

  close(): void {
    closeSync(this.file);
  }
}

/** The whole records of a file; none where there is no file. Throws UserError for a line that is none of ours. */
export function readRecords<T>(path: string): T[] {
  if (!existsSync(path)) return [];
  return wholeLines(path)
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      try {
        return JSON.parse(line) as T;
      } catch {
        throw new UserError(
          `${path}: record ${i + 1} is damaged; remove the file, and what it held is made again`,
        );
      }
    });
}

function wholeLines(path: string): string {
  const text = readFileSync(path, 'utf8');
  return text.slice(0, text.lastIndexOf('\n') + 1);
}
