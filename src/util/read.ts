/**
 * Reading files that come from anywhere. A name may stand for a device, a pipe or a terabyte of nothing: a file is opened without waiting
 * for a writer, must be a regular one, and of a size that its kind can have, before a byte of it is read.
 */
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
} from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { throwIfAborted } from './abort.js';
import { messageOf, UserError } from './errors.js';
import { readFault } from './faults.js';
import { foreignBytes } from './foreign.js';

/** Twice the largest tokenizer.json, index or result. */
export const MAX_FILE_BYTES = 1 << 26;
/** What nests deeper is no settings, result or vocabulary, and whoever walks it by recursion would run out of stack. */
export const MAX_NESTING = 256;

/** Windows has no such flag, and no such pipes. */
const NO_WAIT = (constants.O_NONBLOCK as number | undefined) ?? 0;

/**
 * Opens a regular file for reading; close `fd` when done.
 * @param most bytes that it may have
 * @throws UserError for what is missing, may not be read, is no regular file, or is larger
 */
export function openRegular(path: string, most = Infinity): { readonly fd: number; readonly size: number } {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | NO_WAIT);
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new UserError(`cannot read ${path}: it is ${kindOf(stats)}, not a file`);
    if (stats.size > most)
      throw new UserError(
        `cannot read ${path}: it has ${stats.size} bytes, more than the ${most} that such a file can have`,
      );
    return { fd, size: stats.size };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw readFault(path, error);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

/** A regular file's bytes. Throws UserError as `openRegular`. */
export function readBytes(path: string, most = MAX_FILE_BYTES): Buffer {
  const { fd } = openRegular(path, most);
  try {
    return readFileSync(fd);
  } catch (error) {
    throw readFault(path, error);
  } finally {
    closeSync(fd);
  }
}

/** A regular file as text; what is not UTF-8 becomes U+FFFD. Throws UserError as `openRegular`. */
export function readText(path: string, most = MAX_FILE_BYTES): string {
  const bytes = readBytes(path, most);
  try {
    return bytes.toString('utf8');
  } catch (error) {
    throw readFault(path, error);
  }
}

/** The names by which a shell hands over another program's output: they alone may stand for a pipe. */
const STREAM = /^(\/dev\/stdin|(\/dev|\/proc\/self)\/fd\/\d+)$/;

/** A table's bytes: of a regular file, or of a pipe that the shell named. Throws UserError as `openRegular`, AbortError where `signal` is aborted. */
export async function readTableBytes(path: string, most: number, signal?: AbortSignal): Promise<Buffer> {
  throwIfAborted(signal);
  const options = { ...(signal && { signal }) };
  if (!STREAM.test(path)) {
    const { fd } = openRegular(path, most);
    try {
      return await buffer(createReadStream('', { fd, ...options }));
    } catch (error) {
      throwIfAborted(signal);
      throw readFault(path, error);
    }
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of createReadStream(path, options) as AsyncIterable<Buffer>) {
      if ((size += chunk.length) > most)
        throw new UserError(
          `cannot read ${path}: it gives more than the ${most} bytes that such a file can have`,
        );
      chunks.push(chunk);
    }
  } catch (error) {
    throwIfAborted(signal);
    throw readFault(path, error);
  }
  return Buffer.concat(chunks);
}

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
