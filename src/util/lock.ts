/** Lock files between processes: one names its holder, and one whose holder is no more is taken over. */

import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readText } from './read.js';

/** More than a number and a time have. */
const MAX_BYTES = 1000;

/** A lock without its holder's name for so long was left by a process that died while it wrote it. */
const NAMELESS_MS = 2000;

/**
 * Takes the lock at `path`.
 * @returns undefined once it is taken (give it back by removing the file), or the number of the process that holds it, 0 where it
 *   does not yet say; throws the system's error where the file cannot be written
 */
export function takeLock(path: string): number | undefined {
  for (;;) {
    try {
      writeFileSync(path, `${process.pid} ${startOf(process.pid) ?? ''}`, { flag: 'wx' });
      return undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = read(path);
    if (found === undefined) continue;
    const holder = holderOf(path, found);
    if (holder !== undefined) return holder;
    // Another process may have taken it over since: what was moved away must be what was read.
    const aside = `${path}.${process.pid}`;
    try {
      renameSync(path, aside);
    } catch {
      continue;
    }
    if (read(aside) === found) rmSync(aside, { force: true });
    else renameSync(aside, path);
  }
}

/** The number of the process that holds the lock at `path` (0 where it does not yet say), undefined where none does. */
export function lockHolder(path: string): number | undefined {
  const found = read(path);
  return found === undefined ? undefined : holderOf(path, found);
}

function read(path: string): string | undefined {
  try {
    return readText(path, MAX_BYTES);
  } catch {
    return undefined;
  }
}

/** The process that a lock names, if it lives. */
function holderOf(path: string, text: string): number | undefined {
  const [pid, start] = text.split(' ');
  const holder = Number(pid);
  if (!(holder > 0)) {
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    return age < NAMELESS_MS ? 0 : undefined;
  }
  const found = startOf(holder);
  // Where starts are not told, our own number was a dead process's before.
  if (holder === process.pid && found === '') return undefined;
  return found !== undefined && (found === '' || found === start) ? holder : undefined;
}

/**
 * When a process started ('' where the system does not tell): numbers are given again, in a container soon. Undefined for one that
 * is no more, or is dead and only waits for its parent to ask how it ended.
 */
function startOf(pid: number): string | undefined {
  try {
    // The second field, the program's name in parentheses, may hold anything.
    const [state, ...others] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return state === 'Z' || state === 'X' ? undefined : others[18];
  } catch {
    return isAlive(pid) ? '' : undefined;
  }
}

/** Whether a process of this machine lives, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
