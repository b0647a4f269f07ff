/** Hashes of files, of large ones by samples. */

import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { readFault } from './faults.js';
import { openRegular } from './read.js';
import { atOnce } from './turns.js';

/** Pieces of a large file that are hashed: enough to tell checkpoints apart without reading all of 14 GB at each start. */
export const SAMPLES = 64;
const SAMPLE_BYTES = 1 << 20;

/**
 * The files' sizes and contents; of one larger than `samples` MiB, that many evenly spaced pieces.
 * @param most bytes that a file may have
 * @throws UserError for what is no regular file, or is larger
 */
export function hashFiles(paths: readonly string[], samples: number, most = Infinity): string {
  return atOnce(hashing(paths, samples, most));
}

/** The same in pieces, for `inTurns`. */
export function* hashing(
  paths: readonly string[],
  samples: number,
  most = Infinity,
): Generator<void, string, void> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(SAMPLE_BYTES);
  for (const path of paths) {
    const { fd, size } = openRegular(path, most);
    try {
      hash.update(`${size}\n`);
      const step = Math.max(SAMPLE_BYTES, Math.floor(size / samples));
      for (let at = 0; at < size; at += step) {
        hash.update(buffer.subarray(0, readSync(fd, buffer, 0, SAMPLE_BYTES, at)));
        yield;
      }
    } catch (error) {
      throw readFault(path, error);
    } finally {
      closeSync(fd);
    }
  }
  return hash.digest('hex').slice(0, 16);
}
