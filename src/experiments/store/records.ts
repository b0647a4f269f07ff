/**
 * JSON lines that are written as they come and read back after a kill: a last line that was cut off is dropped, and written again by
 * whoever goes on.
 */

import { constants } from 'node:buffer';
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../../util/errors.js';
import { GrowingFile } from '../../util/growing.js';
import { parseJson, readText } from '../../util/read.js';

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
  if (!existsSync(path)) return [];
  return wholeLines(path)
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

/** The first fault that a schema finds: the field, and what is wrong there. */
export function faultOf({ issues }: z.ZodError): string {
  const [issue] = issues;
  const place = issue!.path.map(String).join('.');
  return `${place === '' ? '' : `${place}: `}${issue!.message}`;
}

function wholeLines(path: string): string {
  const text = readText(path, constants.MAX_STRING_LENGTH);
  return text.slice(0, text.lastIndexOf('\n') + 1);
}
