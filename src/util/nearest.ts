/** The name that somebody may have meant, for messages. */

import { closest, distance } from 'fastest-levenshtein';

/** The one of `names` that `name` is likely to be a slip of; undefined where none is near. Two letters of three stay as they are in a slip. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  if (names.length === 0 || name.length > 100) return undefined;
  const plain = plainly(name);
  const best = closest(plain, names.map(plainly));
  const slips = isSwap(plain, best) ? 1 : distance(plain, best);
  if (slips > Math.floor(Math.max(plain.length, best.length) / 3)) return undefined;
  return names.find((of) => plainly(of) === best);
}

function plainly(name: string): string {
  return name.toLowerCase().replaceAll('-', '_');
}

/** Two letters in the wrong order, which counts as one slip. */
function isSwap(a: string, b: string): boolean {
  return distance(a, b) === 2 && [...a].sort().join('') === [...b].sort().join('');
}
