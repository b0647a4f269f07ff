/** Whether two sources are the same rows under whatever names. */

import { realpathSync } from 'node:fs';
import { canonicalJson } from './hash.js';
import type { ResolvedSource } from './settings/rows.js';

/** One file, by links too, or one split of a hub's data set. Files that are not there are no file's twins. */
export function isSameSource(a: ResolvedSource, b: ResolvedSource): boolean {
  if ('path' in a.from !== 'path' in b.from) return false;
  return nameOf(a) === nameOf(b);
}

function nameOf({ from }: ResolvedSource): string {
  if (!('path' in from)) return canonicalJson(from);
  try {
    return realpathSync(from.path);
  } catch {
    return from.path;
  }
}
