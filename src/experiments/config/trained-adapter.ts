/** Where an adapter lies that a configuration goes on from. The names are those of a run's folder: see src/experiments/store/layout.ts. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isAdapterFolder } from '../../adapters/merge.js';

/** A folder that has this file is a run's. */
export const MANIFEST_FILE = 'manifest.json';
/** In a task's folder within it. */
export const ADAPTER_FOLDER = 'adapter';

/** Where an adapter's files are: in a folder of PEFT's, or in a run's, of the same task or its only one. */
export function adapterFolder(path: string, task: string): string | undefined {
  if (isAdapterFolder(path)) return path;
  if (!existsSync(join(path, MANIFEST_FILE))) return undefined;
  const trained = readdirSync(path)
    .map((name) => join(path, name, ADAPTER_FOLDER))
    .filter(isAdapterFolder);
  return (
    trained.find((folder) => folder === join(path, task, ADAPTER_FOLDER)) ??
    (trained.length === 1 ? trained[0] : undefined)
  );
}
