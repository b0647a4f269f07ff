/** JSON that comes from anywhere: no deeper than can be walked, and, where its reader relies on a shape, held to that. */

import type { z } from 'zod';
import { messageOf, UserError } from './errors.js';
import { foreignBytes } from './foreign.js';
import { MAX_FILE_BYTES, readBytes, readText } from './read.js';

/** What nests deeper is no settings, result or vocabulary, and whoever walks it by recursion would run out of stack. */
export const MAX_NESTING = 256;

/** A JSON file's value. Throws UserError as `openRegular`, and as `parseJson`. */
export function readJsonFile(path: string, most = MAX_FILE_BYTES): unknown {
  const bytes = readBytes(path, most);
  const foreign = foreignBytes(bytes);
  if (foreign !== undefined) throw new UserError(`${path}: ${foreign}`);
  return parseJson(bytes.toString('utf8'), path);
}

/** The value of a JSON text, of which messages speak as `name`. Throws UserError for what is not JSON, and for one too deep to walk. */
export function parseJson(text: string, name: string): unknown {
  // Before it is parsed: a hundred megabytes of brackets would take gigabytes.
  if (isDeep(text)) throw new UserError(`${name} is nested more than ${MAX_NESTING} levels deep`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${name} is not valid JSON: ${messageOf(error).split('\n', 1)[0]!}`);
  }
}

/** Whether the lists and objects of a JSON text stand in one another too deep to be walked by recursion. */
export function isDeep(json: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (inString) {
      if (c === 0x5c /* \ */) i++;
      else if (c === 0x22 /* " */) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b /* { */ || c === 0x5b /* [ */) {
      if (++depth > MAX_NESTING) return true;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return false;
}

/** A JSON file that holds an object. Throws UserError as `readJsonFile`, and for any other value. */
export function readJsonObject(path: string, most = MAX_FILE_BYTES): Record<string, unknown> {
  const value = readJsonFile(path, most);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UserError(`${path} does not hold a JSON object`);
  return value as Record<string, unknown>;
}

/** A JSON file of a known shape; `mend` is what to do where it is damaged. */
export function readChecked<T>(path: string, schema: z.ZodType<T>, mend: string): T {
  const text = readText(path);
  let json: unknown;
  try {
    json = parseJson(text, 'it');
  } catch (error) {
    throw new UserError(`${path} is damaged (${messageOf(error)}): ${mend}`);
  }
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  throw new UserError(`${path} is damaged (${faultOf(checked.error)}): ${mend}`);
}

/** The first fault that a schema finds: the field, and what is wrong there. */
export function faultOf({ issues }: z.ZodError): string {
  const [issue] = issues;
  const place = issue!.path.map(String).join('.');
  return `${place === '' ? '' : `${place}: `}${issue!.message}`;
}
