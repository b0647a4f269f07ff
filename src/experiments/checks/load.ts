/** Loading a user's own checks: modules in JavaScript or TypeScript whose default export is a CheckFunction. */

import { register } from 'node:module';
import { extname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf, UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import type { ResolvedCheck, ResolvedTask } from '../config/index.js';
import { isCheckFile, MEASURES, type CheckFunction } from '../../eval/measures.js';

export interface LoadedCheck extends ResolvedCheck {
  readonly run: CheckFunction;
  /** The file's text: other text is another check. */
  readonly source?: string;
}

let hooked = false;

/** Runs the files that a task's checks name. Throws UserError for one that cannot be loaded. */
export async function loadChecks({
  checks,
  settings,
}: Pick<ResolvedTask, 'checks' | 'settings'>): Promise<LoadedCheck[]> {
  const options = { tokenizer: 'rouge_tokenizer' in settings ? settings.rouge_tokenizer : undefined };
  const loaded: LoadedCheck[] = [];
  for (const check of checks) {
    const measure = MEASURES.get(check.check);
    loaded.push(
      measure && !isCheckFile(check.check)
        ? { ...check, run: ({ reference, answer }) => measure(reference, answer ?? '', options) }
        : { ...check, ...(await loadFile(check.check)) },
    );
  }
  return loaded;
}

async function loadFile(path: string): Promise<Pick<LoadedCheck, 'run' | 'source'>> {
  const source = readText(path);
  if (/ts$/.test(path) && !hooked) {
    register(new URL(`./typescript-hooks${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
    hooked = true;
  }
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown };
  } catch (error) {
    throw new UserError(`cannot load the check ${path}: ${firstLine(error)}`);
  }
  if (typeof module.default !== 'function')
    throw new UserError(`the check ${path} has no function as its default export`);
  return { run: module.default as CheckFunction, source };
}

export function firstLine(error: unknown): string {
  return messageOf(error).split('\n', 1)[0]!;
}
