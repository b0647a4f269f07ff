/** Loading a user's own checks: modules in JavaScript or TypeScript whose default export is a CheckFunction. */

import { register } from 'node:module';
import { extname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf, UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import { own } from '../../util/own.js';
import { MEASURES } from '../../eval/measures.js';
import { metricOptions, type Method } from '../../tasks/index.js';
import { isCheckFile, type ResolvedCheck, type ResolvedTask } from '../config/index.js';

/** An answered test row, as a check of a user's own gets it. */
export interface CheckRow {
  /** Its number in the test data, from 0. */
  readonly row: number;
  /** Who answered: the model as it came (zero_shot, few_shot), or tuned. */
  readonly method: Method;
  readonly reference: string;
  /** Null: the model gave no answer that counts. */
  readonly answer: string | null;
  /** All that it wrote, where it wrote at all. */
  readonly text?: string;
  /** The row's texts by the task's columns. */
  readonly columns: Readonly<Record<string, string>>;
}

/** A check of a user's own: a figure for a row, or whether it passes (1 and 0). */
export type CheckFunction = (row: CheckRow) => number | boolean | Promise<number | boolean>;

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
  const options = metricOptions(settings);
  const loaded: LoadedCheck[] = [];
  for (const check of checks) {
    const measure = own(MEASURES, check.check);
    loaded.push(
      measure && !isCheckFile(check.check)
        ? { ...check, run: ({ reference, answer }) => measure.of(reference, answer ?? '', options) }
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
