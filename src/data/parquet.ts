/**
 * Rows from Parquet, through hyparquet. Pages of a damaged or hostile file can claim any number of values, and decoding them has no
 * bound of its own, so it happens in a child process with a limit on memory and time: what goes wrong there ends in a message.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readSync } from 'node:fs';
import { extname } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { throwIfAborted } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { readFault } from '../util/faults.js';
import { openRegular } from '../util/read.js';
import type { Row } from './row.js';
import type { ReadingOptions } from './text.js';

/** The child stands beside this file: .js in the package, .ts where the sources run. */
const CHILD = fileURLToPath(new URL(`./parquet-child${extname(import.meta.url)}`, import.meta.url));

/** This process's own flags are not handed on: `node -e` would run its script again. */
const LOADER = CHILD.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [];

const MAGIC = 'PAR1';

export interface ParquetLimits {
  /** Of the child's heap. */
  readonly megabytes: number;
  readonly seconds: number;
}

/** Several times what well-formed files were seen to need. */
function limitsFor(bytes: number): ParquetLimits {
  const megabytes = Math.ceil(bytes / 2 ** 20);
  return { megabytes: 1024 + 32 * megabytes, seconds: 30 + megabytes };
}

/** Throws UserError for a file that is missing, truncated, damaged, or too much to decode; AbortError once `signal` is aborted. */
export async function readParquet(
  path: string,
  { limits, signal }: ReadingOptions & { readonly limits?: ParquetLimits } = {},
): Promise<Row[]> {
  throwIfAborted(signal);
  const { megabytes, seconds } = limits ?? limitsFor(checkedSize(path));
  const args = [...LOADER, `--max-old-space-size=${megabytes}`, CHILD, path];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: seconds * 1000,
    killSignal: 'SIGKILL',
  });
  const closed = once(child, 'close') as Promise<[code: number | null]>;
  const kill = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', kill, { once: true });
  const [lines, complaint, [code]] = await Promise.all([buffer(child.stdout), text(child.stderr), closed]);
  signal?.removeEventListener('abort', kill);
  throwIfAborted(signal);
  if (code === 0) return [...decodedRows(lines)];
  throw new UserError(
    code === 1
      ? `${path} is not a readable Parquet file: ${oneLine(complaint)}`
      : `${path} cannot be decoded within ${megabytes} MB of memory and ${seconds} s: it is damaged, or needs splitting`,
  );
}

/** The child's rows, a JSON text a line; all of them at once may be longer than a string can be. */
function* decodedRows(lines: Buffer): Generator<Row> {
  for (let at = 0, end; at < lines.length; at = end + 1) {
    end = lines.indexOf(0x0a, at);
    if (end < 0) end = lines.length;
    yield JSON.parse(lines.toString('utf8', at, end)) as Row;
  }
}

/** The reason may quote names out of the file. */
function oneLine(reason: string): string {
  return reason.replace(/\p{Cc}+/gu, ' ').trim();
}

/** The file's bytes, once its ends have shown it to be whole. */
function checkedSize(path: string): number {
  const { fd, size } = openRegular(path);
  try {
    const magicAt = (position: number): string => {
      const bytes = Buffer.alloc(MAGIC.length);
      return bytes.toString('latin1', 0, readSync(fd, bytes, 0, MAGIC.length, position));
    };
    if (magicAt(0) !== MAGIC)
      throw new UserError(`${path} is not a Parquet file: it does not begin with ${MAGIC}`);
    if (magicAt(Math.max(0, size - MAGIC.length)) !== MAGIC || size < 3 * MAGIC.length) {
      throw new UserError(`${path} is truncated: it does not end with ${MAGIC}; fetch it again`);
    }
    return size;
  } catch (error) {
    throw readFault(path, error);
  } finally {
    closeSync(fd);
  }
}
