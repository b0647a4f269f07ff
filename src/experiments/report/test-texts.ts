/**
 * The texts of test rows, for those that tell methods apart. A run's folder does not have them: they are read from the test file where it
 * still stands as the run read it, and are left out where it does not.
 */

import { existsSync } from 'node:fs';
import { readTable, type ReadOptions } from '../../data/index.js';
import { taskRows } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { hashFiles } from '../../util/hash-files.js';
import { atOnce } from '../../util/turns.js';
import { canonicalJson, type ResolvedTask } from '../config/index.js';
import type { StoredRun } from '../store/stored.js';

const MAX_TABLE_BYTES = 2 ** 30;

/** By the row's number in the test file, from 0; undefined where the file is gone or is another by now. */
export type TestTexts = (run: StoredRun, task: ResolvedTask) => ReadonlyMap<number, string> | undefined;

/** Reads each test file of these runs once. Those of the hub are not asked for: a report needs no network. */
export async function readTestTexts(runs: readonly StoredRun[]): Promise<TestTexts> {
  const hashes = new Map<string, string>();
  const texts = new Map<string, ReadonlyMap<number, string>>();
  for (const run of runs) {
    for (const task of run.manifest.config.tasks) {
      const key = keyOf(run, task);
      const { from } = task.test ?? {};
      if (!from || !('path' in from) || texts.has(key) || !existsSync(from.path)) continue;
      if (!hashes.has(from.path)) hashes.set(from.path, hashOf(from.path));
      if (hashes.get(from.path) !== run.manifest.fingerprints.data[`${task.name}.test`]) continue;
      try {
        texts.set(key, await textsOf(task, from));
      } catch (error) {
        // A run's folder from elsewhere may name columns or a format that the file does not have.
        if (!(error instanceof UserError)) throw error;
      }
    }
  }
  return (run, task) => texts.get(keyOf(run, task));
}

/** A run's folder may come from anyone, and so its paths: nothing is read but a file of a table's size. '' of what is none. */
function hashOf(path: string): string {
  try {
    return hashFiles([path], Infinity, MAX_TABLE_BYTES);
  } catch (error) {
    if (error instanceof UserError) return '';
    throw error;
  }
}

function keyOf({ manifest }: StoredRun, { name, settings, test }: ResolvedTask): string {
  return canonicalJson([manifest.fingerprints.data[`${name}.test`] ?? '', settings, test?.columns ?? {}]);
}

async function textsOf(
  { settings, test }: ResolvedTask,
  { path, ...options }: { readonly path: string } & ReadOptions,
): Promise<Map<number, string>> {
  const takes = taskRows(settings);
  const { rows, indices } = atOnce(takes.select(await readTable(path, options), test!.columns, path));
  return new Map(Array.from(rows, (row, i) => [indices[i]!, takes.shown(row)]));
}

/** A text's beginning on one line, to tell it from others by. */
export function beginning(text: string, most = 160): string {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line.length <= most) return line;
  const cut = line.slice(0, most);
  // Not within a word, unless it is a very long one, and never within a pair of surrogates.
  const end = cut.lastIndexOf(' ');
  return `${(end > most / 2 ? cut.slice(0, end) : cut).replace(/[\uD800-\uDBFF]$/, '')} …`;
}
