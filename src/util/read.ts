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
import { UserError } from './errors.js';
import { readFault } from './faults.js';

/** Twice the largest tokenizer.json, index or result. */
export const MAX_FILE_BYTES = 1 << 26;

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
