/** Runs as the command line names them: by folder, or by the beginning of an id. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isRunFolder } from '../experiments/store/stored.js';
import { UserError } from '../util/errors.js';

/** The folder of a run. `runs`: where ids are looked for. Throws UserError where there is none, or several. */
export function runFolderOf(name: string, runs: string): string {
  if (isRunFolder(name)) return name;
  const ids = existsSync(runs) ? readdirSync(runs).filter((id) => isRunFolder(join(runs, id))) : [];
  const found = /^[0-9a-f]+$/.test(name) ? ids.filter((id) => id.startsWith(name)) : [];
  if (found.length === 1) return join(runs, found[0]!);
  if (found.length > 1)
    throw new UserError(`${name} begins the ids of ${found.length} runs: ${found.join(', ')}`);
  throw new UserError(
    `${name} is no run's folder, nor the beginning of an id in ${runs}; westwind ls ${runs} lists them`,
  );
}

/** The run that a path names: its folder, or one that holds no other; undefined: neither. Throws UserError for one that holds several. */
export function runIn(path: string): string | undefined {
  if (!(statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false)) return undefined;
  if (isRunFolder(path)) return path;
  const runs = readdirSync(path)
    .map((name) => join(path, name))
    .filter(isRunFolder);
  if (runs.length > 1)
    throw new UserError(`${path} holds ${runs.length} runs: name one of ${runs.sort().join(', ')}`);
  return runs[0];
}
