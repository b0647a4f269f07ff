/**
 * Compiles the C kernels for this very machine and caches the library by content: sources, flags, compiler and processor. A
 * compiler is on nearly every machine that trains, and what it makes for the processor at hand beats any binary we could ship.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { arch, cpus, homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError, messageOf } from '../../util/errors.js';

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

/** The system's C compiler: WESTWIND_CC, else cc, gcc or clang. */
export function findCompiler(): Compiler | undefined {
  const asked = process.env['WESTWIND_CC'];
  for (const command of asked ? [asked] : ['cc', 'gcc', 'clang']) {
    const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (status === 0) return { command, version: stdout.split('\n')[0]! };
  }
  return undefined;
}

/**
 * The library of kernels, compiled if it is not in the cache (WESTWIND_CACHE or ~/.cache/westwind). WESTWIND_CFLAGS adds flags.
 * Throws UserError where there is no compiler or it fails.
 */
export function compileKernels(): Compiled {
  const compiler = findCompiler();
  if (!compiler) {
    const asked = process.env['WESTWIND_CC'];
    throw new UserError(
      asked
        ? `WESTWIND_CC names ${asked}, which does not run: name a C compiler (gcc or clang)`
        : 'no C compiler found (tried cc, gcc and clang): install gcc or clang, or choose the device reference',
    );
  }
  const sources = sourceFolder();
  const files = readdirSync(sources).filter((f) => /\.[ch]$/.test(f));
  const flags = [...FLAGS, ...(process.env['WESTWIND_CFLAGS']?.split(/\s+/).filter(Boolean) ?? [])];
  const hash = createHash('sha256');
  for (const part of [compiler.version, processor(), ...flags]) hash.update(`${part}\0`);
  for (const file of files.sort()) hash.update(`${file}\0`).update(readFileSync(join(sources, file)));
  const folder = join(process.env['WESTWIND_CACHE'] ?? join(homedir(), '.cache', 'westwind'), 'cpu');
  const path = join(folder, `${hash.digest('hex').slice(0, 24)}.so`);
  if (existsSync(path)) return { path, compiler, seconds: 0 };

  const start = performance.now();
  const temporary = temporaryFolder(folder);
  try {
    const names = files.filter((f) => f.endsWith('.c')).map((f) => f.slice(0, -2));
    build(compiler.command, flags, sources, names, temporary);
    renameSync(join(temporary, 'kernels.so'), path);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return { path, compiler, seconds: (performance.now() - start) / 1000 };
}

/** What `npm install` runs: compiles ahead and says so in one line; a machine without a compiler is told, not failed. */
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
    return mkdtempSync(join(folder, 'build-'));
  } catch (error) {
    throw new UserError(
      `cannot write the compiled kernels to ${folder} (${messageOf(error)}): let WESTWIND_CACHE name a folder that can be written`,
    );
  }
}

/** Every file by a process of its own, then the link. The shell waits for them so that callers need not be asynchronous. */
const SCRIPT = `
out=$1 sources=$2 count=$3; shift 3
names= i=0
while [ $i -lt $count ]; do names="$names $1"; shift; i=$((i + 1)); done
pids= objects=
for name in $names; do
  "$@" -c "$sources/$name.c" -o "$out/$name.o" & pids="$pids $!"
done
for pid in $pids; do wait $pid || exit 1; done
cd "$out" && "$@" -shared *.o -lm -o kernels.so`;

function build(cc: string, flags: string[], sources: string, names: string[], out: string): void {
  const args = ['-c', SCRIPT, 'sh', out, sources, String(names.length), ...names, cc, ...flags];
  const { status, stderr, error } = spawnSync('sh', args, { encoding: 'utf8' });
  if (status === 0) return;
  const line =
    (stderr || messageOf(error)).split('\n').find((l) => /error|cannot|not found/i.test(l)) ?? stderr;
  throw new UserError(
    `${cc} cannot compile the kernels (${line.trim()}): let WESTWIND_CC name another compiler`,
  );
}
