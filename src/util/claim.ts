/**
 * The door of everything that writes into a folder of the user's choice: what lies there already is not written over unasked, and what is
 * written takes its place together, so that a folder never holds a part of an old result and a part of a new one.
 */

import { mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { AtomicFile, isUnfinished, syncFolder } from './atomic.js';
import { writeFault } from './faults.js';
import { UserError } from './errors.js';
import { takeLock } from './lock.js';

export interface ClaimOptions {
  /** Write over what is there. */
  readonly force?: boolean | undefined;
  /** Folders that are read for what is written: none of them may be the one that is written to, not by a link either. */
  readonly inputs?: readonly string[];
  /** Names that earlier results of the same kind have, which may be written over. */
  readonly own?: readonly string[];
}

/** Holds a folder while it is written into. A process that was killed leaves it behind, with files under temporary names. */
const LOCK = '.writing.pid';

/**
 * A folder that is written into: add files, then either `commit` (all of them are there, in the places of those that had their names) or
 * `abort` (the folder is as it was). A kill before `commit` is an abort whose traces the next claim removes. Within it, for as long as the
 * renames take, the folder counts as incomplete where the file without which the others are not read is removed first and added last.
 */
export class ClaimedFolder {
  readonly #files: AtomicFile[] = [];
  readonly #folders = new Set<string>();
  readonly #removed: { readonly before: string[]; readonly after: string[] } = { before: [], after: [] };
  #held = true;

  constructor(
    readonly path: string,
    /** The outermost folder that was not there before. */
    private readonly made: string | undefined,
  ) {}

  /** A new file for `name`, which may lie in a folder below: write to it and `finish` it. */
  open(name: string): AtomicFile {
    const path = join(this.path, name);
    this.#prepare(dirname(path));
    const file = new AtomicFile(path);
    this.#files.push(file);
    return file;
  }

  /** Adds a whole file. */
  write(name: string, data: string | Uint8Array): void {
    this.open(name).finishWith(data);
  }

  /** Has a file of an earlier result, if it is there, go on `commit`: before the new ones have their names, or after. */
  remove(name: string, when: 'before' | 'after'): void {
    this.#removed[when].push(join(this.path, name));
  }

  commit(): void {
    // A folder in a file's place is the one refusal that can be told before anything has changed.
    for (const { path } of this.#files)
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
        throw new UserError(`cannot write ${path}: a folder of that name is in the way`);
    for (const path of this.#removed.before) rmSync(path, { force: true });
    for (const file of this.#files) file.publish();
    for (const folder of this.#folders) syncFolder(folder);
    for (const path of this.#removed.after) rmSync(path, { force: true });
    this.#release();
  }

  /** Safe to call at any time, also after `commit`. */
  abort(): void {
    if (!this.#held) return;
    for (const file of this.#files) file.abort();
    this.#release();
    if (this.made !== undefined) removeMade(this.path, this.made);
  }

  #release(): void {
    this.#held = false;
    rmSync(join(this.path, LOCK), { force: true });
  }

  /** Makes a folder of those that files go to, and removes what killed processes left there. */
  #prepare(folder: string): void {
    if (this.#folders.has(folder)) return;
    this.#folders.add(folder);
    try {
      mkdirSync(folder, { recursive: true });
      for (const name of readdirSync(folder).filter(isUnfinished))
        rmSync(join(folder, name), { force: true });
    } catch (error) {
      throw writeFault(folder, error);
    }
  }
}

/**
 * Makes a folder, with those above it, and holds it. Throws UserError where it is an input, where it holds something and `force` is not set,
 * and while somebody else writes into it.
 */
export function claimFolder(
  folder: string,
  { force, inputs = [], own = [] }: ClaimOptions = {},
): ClaimedFolder {
  // What a path leads to, by whatever links, has one number on its device.
  const there = identity(folder);
  for (const input of inputs)
    if (there !== undefined && there === identity(input))
      throw new UserError(
        `${folder} is the same folder as ${input}, which is read: name another for what is written`,
      );
  let found: string | undefined;
  let made: string | undefined;
  let holder: number | undefined;
  try {
    made = mkdirSync(folder, { recursive: true });
    found = readdirSync(folder).find((name) => !own.includes(name) && name !== LOCK && !isUnfinished(name));
    if (found === undefined || force) holder = takeLock(join(folder, LOCK));
  } catch (error) {
    throw writeFault(folder, error);
  }
  if (found !== undefined && !force)
    throw new UserError(
      `${folder} holds something already (${found}): name another folder, or write over it by --force (in a program: force: true)`,
    );
  if (holder !== undefined) {
    const process = holder > 0 ? `process ${holder}` : 'another process';
    throw new UserError(`${folder} is being written into by ${process}: wait for it, or name another folder`);
  }
  return new ClaimedFolder(folder, made);
}

/** Removes a folder that was made, and of those above it that were made with it the ones in which nobody else put something. */
function removeMade(folder: string, made: string): void {
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
