/** Which program computed a run: its version, its code as it stands on the disk, and the packages whose versions could show in a result. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { version } from './version.js';

export interface Program {
  readonly westwind: string;
  /** Where the package is a git checkout: what is checked out. Changes that were not committed show in `code` alone. */
  readonly commit?: string;
  /** A hash of the files that run: the compiled or TypeScript modules, and the kernels' sources. */
  readonly code: string;
  readonly node: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** What stands between us and the processor, and between texts and tokens. */
const DEPENDENCIES = ['koffi', 'tokenizers', '@huggingface/tokenizers'];

/** The folder that this module was loaded from: `src` or `dist`. */
const CODE = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = resolve(CODE, '..');

export function describeProgram(): Program {
  const commit = gitCommit(PACKAGE);
  return {
    westwind: version(),
    ...(commit !== undefined && { commit }),
    code: codeHash(),
    node: process.version,
    dependencies: Object.fromEntries(DEPENDENCIES.map((name) => [name, packageVersion(name)])),
  };
}

function codeHash(): string {
  const modules = filesBelow(CODE).filter((path) => /(?<!\.d)\.[jt]s$/.test(path));
  // Kernels are compiled from their sources on the user's machine, also by the compiled modules.
  const kernels = filesBelow(join(PACKAGE, 'src/backends')).filter((path) => /\.(c|cu|h|cuh)$/.test(path));
  return hashOfFiles([...modules, ...kernels], PACKAGE);
}

/** The files' names and contents, in the names' order. */
export function hashOfFiles(paths: readonly string[], folder: string): string {
  const hash = createHash('sha256');
  const names = paths.map((path) => relative(folder, path)).sort();
  for (const name of names) {
    const content = readFileSync(join(folder, name));
    hash.update(`${name}\n${content.length}\n`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** The commit that is checked out in `folder`, read as git lays it down (gitrepository-layout): undefined where it is no checkout. */
export function gitCommit(folder: string): string | undefined {
  const read = (...path: string[]): string | undefined => {
    try {
      return readFileSync(resolve(...path), 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const dotGit = join(folder, '.git');
  // A second work tree has a file that names its part of the repository, which names the shared part.
  const link = /^gitdir: (.*)$/.exec(read(dotGit) ?? '')?.[1];
  const own = link === undefined ? dotGit : resolve(folder, link);
  const shared = resolve(own, read(own, 'commondir') ?? '.');
  const head = read(own, 'HEAD');
  const ref = /^ref: (.*)$/.exec(head ?? '')?.[1];
  if (ref === undefined) return head;
  const packed = (): string | undefined =>
    read(shared, 'packed-refs')
      ?.split('\n')
      .find((line) => line.endsWith(` ${ref}`))
      ?.split(' ')[0];
  return read(own, ref) ?? read(shared, ref) ?? packed();
}

function packageVersion(name: string): string {
  let folder = dirname(fileURLToPath(import.meta.resolve(name)));
  while (dirname(folder) !== folder) {
    const path = join(folder, 'package.json');
    if (existsSync(path)) {
      const found = JSON.parse(readFileSync(path, 'utf8')) as { name?: string; version?: string };
      // Packages may hold a nameless package.json beside their modules.
      if (found.name === name) return found.version ?? 'unknown';
    }
    folder = dirname(folder);
  }
  return 'unknown';
}
