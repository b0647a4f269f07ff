/** A text file as one string, for the formats that are text: UTF-8, with or without a byte order mark. */
import { constants } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { readFault } from '../files/faults.js';
import { UserError } from '../util/errors.js';

/** Throws UserError for a file that is missing, may not be read, is not UTF-8, or is longer than a string can be. */
export async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > constants.MAX_STRING_LENGTH) {
      throw new UserError(
        `${path} has ${size} bytes, more than fit a text: convert it to Parquet, or split it`,
      );
    }
    bytes = await readFile(path);
  } catch (error) {
    throw readFault(path, error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path} is not UTF-8 text: save it as UTF-8`);
  }
}
