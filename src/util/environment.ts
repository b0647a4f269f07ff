/** Settings from the environment; one that is set to nothing is not set. */

import { homedir } from 'node:os';
import { join } from 'node:path';

/** The value of an environment variable; undefined where it is missing, empty or blank. */
export function environment(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value.trim() === '' ? undefined : value;
}

/** Where compiled kernels and encoded texts are kept: WESTWIND_CACHE, else ~/.cache/westwind. */
export function cacheFolder(): string {
  return environment('WESTWIND_CACHE') ?? join(homedir(), '.cache', 'westwind');
}
