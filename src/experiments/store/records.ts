/**
 * JSON lines that are written as they come and read back after a kill: a last line that was cut off is dropped, and written again by
 * whoever goes on.
 */

import { constants } from 'node:buffer';
import { closeSync, existsSync, readSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../../util/errors.js';
import { GrowingFile } from '../../util/growing.js';
import { faultOf, parseJson } from '../../util/json.js';
import { openRegular, readText } from '../../util/read.js';

/** Appends records to a file, each in one write. */
export class RecordWriter<T> {
  private readonly file: GrowingFile;

  constructor(path: string) {
    this.file = new GrowingFile(path, existsSync(path) ? Buffer.byteLength(wholeLines(path)) : 0);
  }

  append(record: T): void {
    this.file.append(Buffer.from(JSON.stringify(record) + '\n'));
  }
}

/**
 * The whole records of a file; none where there is no file. Throws UserError for a line that is no object, or not of the schema's shape,
 * and for what is no regular file.
 */
export function readRecords<T>(path: string, schema: z.ZodType = z.looseObject({})): T[] {
  return existsSync(path) ? recordsOf<T>(wholeLines(path), path, schema) : [];
}

/**
 * The whole records that stand behind an earlier call's `end`; of a file that someone made shorter since, all.
 * @throws UserError as `readRecords`
 */
export function readRecordsFrom<T>(
  path: string,
  from: number,
  schema: z.ZodType,
): { readonly records: T[]; readonly end: number } {
  if (!existsSync(path)) return { records: [], end: 0 };
  const { fd, size } = openRegular(path, constants.MAX_STRING_LENGTH);
  try {
    const start = size < from ? 0 : from;
    const bytes = Buffer.alloc(size - start);
    const text = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, start));
    const whole = text.subarray(0, text.lastIndexOf(0x0a) + 1);
    return { records: recordsOf<T>(whole.toString('utf8'), path, schema), end: start + whole.length };
  } finally {
    closeSync(fd);
  }
}

function recordsOf<T>(lines: string, path: string, schema: z.ZodType): T[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      const damaged = (why: string): UserError =>
        new UserError(
          `${path}: record ${i + 1} is damaged (${why}); remove the file, and what it held is made again`,
        );
      let value: unknown;
      try {
        value = parseJson(line, 'it');
      } catch {
        throw damaged('it is not JSON');
      }
      const checked = schema.safeParse(value);
      if (!checked.success) throw damaged(faultOf(checked.error));
      return checked.data as T;
    });
}

function wholeLines(path: string): string {
  const text = readText(path, constants.MAX_STRING_LENGTH);
  return text.slice(0, text.lastIndexOf('\n') + 1);
}
