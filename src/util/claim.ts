/** The door of everything that writes into a folder of the user's choice: what lies there already is not written over unasked. */

import { mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { writeFault } from './faults.js';
import { UserError } from './errors.js';

export interface ClaimOptions {
  /** Write over what is there. */
  readonly force?: boolean | undefined;
  /** Folders that are read for what is written: none of them may be the one that is written to, not by a link either. */
  readonly inputs?: readonly string[];
  /** Names that earlier results of the same kind have, which may be written over. */
  readonly own?: readonly string[];
}

/**
 * Makes a folder, with those above it. Throws UserError where it is an input, or holds something and `force` is not set.
 * @returns the outermost folder that was not there before, if any: for `removeMade` where the work fails
 */
export function claimFolder(
  folder: string,
  { force, inputs = [], own = [] }: ClaimOptions = {},
): string | undefined {
  // What a path leads to, by whatever links, has one number on its device.
  const there = identity(folder);
  for (const input of inputs)
    if (there !== undefined && there === identity(input))
      throw new UserError(
        `${folder} is the same folder as ${input}, which is read: name another for what is written`,
      );
  let found: string | undefined;
  let made: string | undefined;
  try {
    made = mkdirSync(folder, { recursive: true });
    found = readdirSync(folder).find((name) => !own.includes(name));
  } catch (error) {
    throw writeFault(folder, error);
  }
  if (found !== undefined && !force)
    throw new UserError(
      `${folder} holds something already (${found}): name another folder, or write over it by --force (in a program: force: true)`,
    );
  return made;
}

/** Removes a folder that `claimFolder` made, and of those above it that it made with it the ones in which nobody else put something. */
export function removeMade(folder: string, made: string): void {
  rmSync(folder, { recursive: true, force: true });
  const top = resolve(made);
  for (let above = dirname(resolve(folder)); above.startsWith(top); above = dirname(above)) {
    try {
      rmdirSync(above);
    } catch {
      return;
    }
  }
}

function identity(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev}:${stat.ino}`;
}
