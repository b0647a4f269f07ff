/**
 * Compiles the C kernels for this very machine and caches the library by content: sources, flags, compiler and processor. A
 * compiler is on nearly every machine that trains, and what it makes for the processor at hand beats any binary we could ship.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { arch, cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { environment, cacheFolder } from '../../util/environment.js';
import { UserError, messageOf } from '../../util/errors.js';
import { isAlive } from '../../util/lock.js';

export interface Compiler {
  readonly command: string;
  /** The first line of what `--version` says. */
  readonly version: string;
}

export interface Compiled {
  /** The shared object. */
  readonly path: string;
  readonly compiler: Compiler;
  /** Seconds spent; 0 where the cache had it. */
  readonly seconds: number;
}

/** No -ffast-math: a NaN in the training must come through, and sums keep their order. */
const FLAGS = [
  '-std=gnu11',
  '-O3',
  ...(arch() === 'x64' ? ['-march=native', '-mprefer-vector-width=512'] : ['-mcpu=native']),
  '-ffp-contract=fast',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-fPIC',
  '-pthread',
  '-Wall',
  '-Wextra',
];

/**
 * The library stays in the process until its end: threads of its pool sleep in it, and whoever loads it (koffi, once for each
 * worker_thread) closes it while they do.
 */
const LINK_FLAGS = process.platform === 'darwin' ? [] : ['-Wl,-z,nodelete'];

/** The system's C compiler: WESTWIND_CC, else cc, gcc or clang. */
export function findCompiler(): Compiler | undefined {
  const asked = environment('WESTWIND_CC');
  for (const command of asked ? [asked] : ['cc', 'gcc', 'clang']) {
    const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (status === 0) return { command, version: stdout.split('\n')[0]! };
  }
  return undefined;
}

/**
 * The library of kernels, compiled if it is not in the cache (WESTWIND_CACHE or ~/.cache/westwind) as it was compiled: its name ends in
 * the hash of its content. WESTWIND_CFLAGS adds flags. Throws UserError where there is no compiler or it fails.
 */
export function compileKernels(): Compiled {
  const compiler = findCompiler();
  if (!compiler) {
    const asked = environment('WESTWIND_CC');
    throw new UserError(
      asked
        ? `WESTWIND_CC names ${asked}, which does not run: name a C compiler (gcc or clang)`
        : 'no C compiler found (tried cc, gcc and clang): install gcc or clang, or choose the device reference',
    );
  }
  const sources = sourceFolder();
  const files = readdirSync(sources).filter((f) => /\.[ch]$/.test(f));
  const flags = [...FLAGS, ...(environment('WESTWIND_CFLAGS')?.split(/\s+/).filter(Boolean) ?? [])];
  const hash = createHash('sha256');
  for (const part of [compiler.version, processor(), ...flags, ...LINK_FLAGS]) hash.update(`${part}\0`);
  for (const file of files.sort()) hash.update(`${file}\0`).update(readFileSync(join(sources, file)));
  const key = hash.digest('hex').slice(0, 24);
  const folder = join(cacheFolder(), 'cpu');
  const cached = lookUp(folder, key);
  if (cached !== undefined) return { path: cached, compiler, seconds: 0 };

  const start = performance.now();
  const temporary = temporaryFolder(folder);
  try {
    const names = files.filter((f) => f.endsWith('.c')).map((f) => f.slice(0, -2));
    build(compiler.command, flags, sources, names, temporary);
    const made = join(temporary, 'kernels.so');
    const path = join(folder, `${key}-${contentHash(made)}.so`);
    renameSync(made, path);
    return { path, compiler, seconds: (performance.now() - start) / 1000 };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The cache's library of a key. What is damaged there goes, and what compilations left that were killed. */
function lookUp(folder: string, key: string): string | undefined {
  let found: string | undefined;
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const path = join(folder, name);
    if (name.startsWith(`${key}-`)) {
      if (name === `${key}-${contentHash(path)}.so`) found = path;
      else remove(path);
    } else if (isAbandoned(path, name)) remove(path);
  }
  return found;
}

/** '' where it cannot be read, or went away in this moment. */
function contentHash(path: string): string {
  try {
    return createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 24);
  } catch {
    return '';
  }
}

/** What cannot be removed does no harm. */
function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Another process's compiler may still be writing there; a later start tries again.
  }
}

/** No compilation takes so long. A cache may be shared between machines, whose processes are not to be seen from here. */
const ABANDONED_MS = 3600_000;

/** Whether a folder is that of a compilation (see `temporaryFolder`) that nobody will end. */
function isAbandoned(path: string, name: string): boolean {
  if (!name.startsWith('build-')) return false;
  const [, host, pid] = /^build-(.*)-(\d+)-[^-]*$/.exec(name) ?? [];
  if (host === hostname() && !isAlive(Number(pid))) return true;
  const { mtimeMs = Infinity } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return Date.now() - mtimeMs > ABANDONED_MS;
}

/**
 * What `npm install` runs: compiles ahead and says so in one line; a machine without a compiler is told, not failed.
 * @public scripts/install.mjs takes it from the build
 */
export function installCpuKernels(): void {
  try {
    const { compiler, path, seconds } = compileKernels();
    const done =
      seconds > 0 ? `compiled in ${seconds.toFixed(1)} s by ${compiler.version}` : 'compiled before';
    console.log(`westwind: kernels for this processor ${done} (${path})`);
  } catch (error) {
    console.warn(`westwind: ${messageOf(error)}`);
    console.warn('westwind: until then the device is `reference`: right, but far too slow for real models.');
  }
}

/** The C files stand in src alone; from dist they are found there. */
function sourceFolder(): string {
  const places = ['./kernels/', '../../../src/backends/cpu/kernels/'];
  const found = places.map((p) => fileURLToPath(new URL(p, import.meta.url))).find((p) => existsSync(p));
  if (!found) throw new Error('the C kernels are not where the package keeps them');
  return found;
}

/** What `-march=native` looks at. */
function processor(): string {
  const model = `${arch()} ${cpus()[0]?.model ?? ''}`;
  if (!existsSync('/proc/cpuinfo')) return model;
  const flags = /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
  return `${model} ${flags?.[0] ?? ''}`;
}

function temporaryFolder(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true });
    return mkdtempSync(join(folder, `build-${hostname()}-${process.pid}-`));
  } catch (error) {
    throw new UserError(
      `cannot write the compiled kernels to ${folder} (${messageOf(error)}): let WESTWIND_CACHE name a folder that can be written`,
    );
  }
}

/**
 * Every file by a process of its own, then the link. In one whose name ends in -exact every operation is rounded by itself. The shell waits for them so that callers need not be asynchronous. Of the first
 * command that fails, it gives the words and the number.
 */
const SCRIPT = `
out=$1 sources=$2 count=$3 link=$4; shift 4
names= i=0
while [ $i -lt $count ]; do names="$names $1"; shift; i=$((i + 1)); done
pids=
for name in $names; do
  case $name in *-exact) own=-ffp-contract=off ;; *) own= ;; esac
  "$@" $own -c "$sources/$name.c" -o "$out/$name.o" 2>"$out/$name.err" & pids="$pids $name:$!"
done
failed= code=0
for pair in $pids; do
  wait \${pair#*:} || { code=$?; failed=\${pair%:*}; break; }
done
if [ -n "$failed" ]; then
  printf '%s\\n' "$* -c $sources/$failed.c"; cat "$out/$failed.err" >&2
  wait; exit $code
fi
cd "$out" && "$@" -shared $link *.o -lm -o kernels.so || { code=$?; printf '%s\\n' "$* -shared $link *.o -lm -o kernels.so"; exit $code; }`;

function build(cc: string, flags: string[], sources: string, names: string[], out: string): void {
  const args = ['-c', SCRIPT, 'sh', out, sources, String(names.length), LINK_FLAGS.join(' '), ...names];
  const { status, signal, stdout, stderr, error } = spawnSync('sh', [...args, cc, ...flags], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status === 0) return;
  if (error)
    throw new UserError(`the kernels cannot be compiled: no shell can be started (${messageOf(error)})`);
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const line =
    lines.find((l) => /\berror\b|undefined reference/i.test(l)) ??
    lines.find((l) => /cannot|not found|no such/i.test(l)) ??
    lines[0] ??
    `it ended with ${status ?? signal}`;
  throw new UserError(
    `the C compiler ${cc} was found, but fails on the kernels: ${line.trim()} (command: ${stdout.trim()}); ` +
      'let WESTWIND_CC name another compiler',
  );
}
