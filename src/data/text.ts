/** A text file as one string, for the formats that are text: UTF-8, with or without a byte order mark. */
import { constants } from 'node:buffer';
import { UserError } from '../util/errors.js';
import { readTableBytes } from '../util/read.js';

/** Throws UserError for a file that is missing, may not be read, is not UTF-8, or is longer than a string can be. */
export async function readText(path: string): Promise<string> {
  const bytes = await readTableBytes(path, constants.MAX_STRING_LENGTH);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path} is not UTF-8 text: save it as UTF-8`);
  }
}
