/**
 * What of a folder leaves for the hub: a model's or an adapter's files by name, so that rows of data never do, and none that has something
 * in it that looks like a secret.
 */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../util/errors.js';
import { readFault } from '../util/faults.js';
import { readText } from '../util/read.js';
import { secretIn } from '../util/secrets.js';
import { shardNames } from './checkpoint.js';
import { GgufFile } from './gguf/index.js';
import type { FileToPush } from './hub-push.js';
import { modelFilesAmong } from './hub.js';
import { SafetensorsFile } from './safetensors.js';

/** Tables and texts that may hold rows of a data set. */
const DATA = /\.(csv|tsv|jsonl|ndjson|parquet|arrow|txt)(\.gz)?$/i;
const LICENCE = /^(licen[cs]e|notice|use_policy)(\.(md|txt))?$/i;

/** A folder's files that may leave, by name, and the names of the rest. */
export function filesToPush(folder: string): { readonly files: FileToPush[]; readonly rest: string[] } {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch (error) {
    throw readFault(folder, error);
  }
  const own = new Set([
    ...modelFilesAmong(names).filter((name) => !DATA.test(name)),
    ...shardNames(folder),
    ...names.filter((name) => LICENCE.test(name)),
  ]);
  return {
    files: [...own].sort().map((path) => ({ path, content: join(folder, path) })),
    rest: names.filter((name) => !own.has(name)),
  };
}

/** Throws UserError for the first file that has in its text what looks like a token, a key or a password. */
export function checkSecrets(files: readonly FileToPush[]): void {
  for (const { path, content } of files) {
    const found = secretIn(textOf(path, content));
    if (found)
      throw new UserError(
        `${typeof content === 'string' ? content : path} has in line ${found.line} what looks like ${found.what}: nothing is pushed; take it out`,
      );
  }
}

/** What can be read of a file: of weights, what is told of them. */
function textOf(path: string, content: FileToPush['content']): string {
  if (typeof content !== 'string') return Buffer.from(content).toString('utf8');
  if (path.endsWith('.gguf')) return ggufText(content);
  if (!path.endsWith('.safetensors')) return readText(content);
  const file = SafetensorsFile.open(content);
  file.close();
  return JSON.stringify(file.metadata);
}

function ggufText(path: string): string {
  const file = GgufFile.open(path);
  file.close();
  return [...file.metadata]
    .flatMap(([key, { value }]) => (typeof value === 'string' ? `${key}=${value}` : []))
    .join('\n');
}

/** A GGUF file to push. Throws UserError, with the mend, for any other. */
export function ggufToPush(path: string): FileToPush {
  const mend = "name a run's folder, an adapter, a model folder or a .gguf file";
  if (DATA.test(path) || path.endsWith('.json'))
    throw new UserError(`${path} may hold rows of a data set, which are never pushed: ${mend}`);
  if (!path.endsWith('.gguf')) throw new UserError(`${path} is not pushed by itself: ${mend}`);
  return { path: basename(path), content: path };
}
