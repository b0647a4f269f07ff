/** Compiling the CPU kernels: the cache, the words for what goes wrong, and the pool that stands on them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { compileKernels, findCompiler } from '../../src/backends/cpu/compile.js';
import { openLibrary } from '../../src/backends/cpu/library.js';
import { describeMachine } from '../../src/experiments/bench/machine.js';
import { createBackend } from '../../src/backends/select.js';
import { cacheFolder } from '../../src/util/environment.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-compile-'));
const before = { ...process.env };
after(() => {
  rmSync(folder, { recursive: true, force: true });
  process.env = before;
});

/** A compiler that does in a moment what is asked of it: `links` says whether its library appears. */
function fakeCompiler(name: string, links = true): string {
  const path = join(folder, name);
  const body = links
    ? 'case "$*" in *--version*) echo "fake 1.0";; *kernels.so*) echo "$@" > kernels.so;; esac'
    : 'case "$*" in *--version*) echo "fake 2.0";; *gemm.c*) echo "gemm.c:1: error: it is too hot" >&2; exit 1;; esac';
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

void describe('compileKernels', () => {
  beforeEach(() => {
    process.env['WESTWIND_CACHE'] = mkdtempSync(join(folder, 'cache-'));
    process.env['WESTWIND_CC'] = fakeCompiler('good');
    delete process.env['WESTWIND_CFLAGS'];
  });

  it('compiles once and finds the result again', () => {
    const first = compileKernels();
    assert.ok(first.seconds > 0);
    assert.equal(first.compiler.version, 'fake 1.0');
    assert.ok(statSync(first.path).isFile());
    const again = compileKernels();
    assert.deepEqual([again.path, again.seconds], [first.path, 0]);
    assert.equal(
      readdirSync(join(process.env['WESTWIND_CACHE']!, 'cpu')).length,
      1,
      'nothing else is left behind',
    );
  });

  it('compiles anew for other flags', () => {
    const plain = compileKernels().path;
    process.env['WESTWIND_CFLAGS'] = '-DSOMETHING -O1';
    assert.notEqual(compileKernels().path, plain);
  });

  it('says which error stopped the compiler and by which command, and leaves no library', () => {
    const bad = (process.env['WESTWIND_CC'] = fakeCompiler('bad', false));
    assert.throws(
      () => compileKernels(),
      (e) =>
        e instanceof UserError &&
        e.message.includes(`${bad} was found, but fails on the kernels: gemm.c:1: error: it is too hot`) &&
        /command: .*bad -std=gnu11 .* -c [^ ]*gemm\.c\).*WESTWIND_CC/.test(e.message) &&
        !e.message.includes('\n'),
    );
    assert.deepEqual(readdirSync(join(process.env['WESTWIND_CACHE']!, 'cpu')), []);
  });

  it('tells of a failing compiler wherever the reference takes its place', async () => {
    process.env['WESTWIND_CC'] = fakeCompiler('bad', false);
    const { backend, notice } = await createBackend('auto');
    assert.equal(backend.name, 'reference');
    assert.match(notice!, /slow reference is used: .*it is too hot/);
    const { compiler, cpu } = await describeMachine();
    assert.equal(compiler, 'fake 2.0');
    assert.match(cpu!, /^not available: .*it is too hot/);
  });

  it('compiles anew what was damaged in the cache: cut, empty, or another byte', () => {
    const { path } = compileKernels();
    const whole = readFileSync(path);
    const damages = [
      () => truncateSync(path, whole.length >> 1),
      () => truncateSync(path, 0),
      () => writeFileSync(path, Buffer.from(whole).fill(0, 1, 2)),
    ];
    for (const damage of damages) {
      damage();
      const again = compileKernels();
      assert.ok(again.seconds > 0, 'it is compiled');
      assert.deepEqual(readFileSync(again.path), whole);
      assert.deepEqual([compileKernels().path, compileKernels().seconds], [again.path, 0]);
    }
    assert.equal(readdirSync(join(process.env['WESTWIND_CACHE']!, 'cpu')).length, 1);
  });

  it('removes what killed compilations left, and nothing of those that run', () => {
    const cache = join(process.env['WESTWIND_CACHE']!, 'cpu');
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const old = new Date(Date.now() - 7200_000);
    const made = (name: string, time?: Date): string => {
      mkdirSync(join(cache, name), { recursive: true });
      writeFileSync(join(cache, name, 'gemm.o'), 'half');
      if (time) utimesSync(join(cache, name), time, time);
      return name;
    };
    const kept = [
      made(`build-${hostname()}-${process.pid}-aaaaaa`),
      made('build-another-machine-1-bbbbbb'),
      made('build-cccccc'),
    ];
    made(`build-${hostname()}-${dead}-dddddd`);
    made('build-another-machine-1-eeeeee', old);
    made('build-ffffff', old);
    const { path } = compileKernels();
    assert.deepEqual(
      readdirSync(cache)
        .filter((name) => !path.endsWith(name))
        .sort(),
      kept.sort(),
    );
  });

  it('takes variables that are set to nothing as not set', () => {
    for (const name of ['WESTWIND_CACHE', 'WESTWIND_CC', 'WESTWIND_CFLAGS']) process.env[name] = '';
    assert.equal(cacheFolder(), join(homedir(), '.cache', 'westwind'));
    assert.equal(findCompiler()?.command, 'cc');
  });

  it('names a compiler that does not run, and the ones it tried', () => {
    process.env['WESTWIND_CC'] = join(folder, 'missing');
    assert.throws(() => compileKernels(), /WESTWIND_CC names .*missing, which does not run/);
    delete process.env['WESTWIND_CC'];
    const path = process.env['PATH'];
    process.env['PATH'] = folder;
    assert.equal(findCompiler(), undefined);
    assert.throws(() => compileKernels(), /no C compiler found \(tried cc, gcc and clang\)/);
    process.env['PATH'] = path;
  });

  it('names a cache that cannot be written', () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    process.env['WESTWIND_CACHE'] = file;
    assert.throws(
      () => compileKernels(),
      (e) => e instanceof UserError && e.message.includes('WESTWIND_CACHE'),
    );
  });

  it('is a notice, not a failure, during an install', () => {
    const code = `import { installCpuKernels } from './src/backends/cpu/compile.ts'; installCpuKernels();`;
    const run = (cc: string): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
        env: { ...process.env, WESTWIND_CC: cc },
        encoding: 'utf8',
      });
    const without = run(join(folder, 'missing'));
    assert.equal(without.status, 0);
    assert.match(String(without.stderr), /does not run.*\n.*`reference`/);
    const good = run(fakeCompiler('good'));
    assert.equal(good.status, 0);
    assert.match(String(good.stdout), /^westwind: kernels for this processor compiled in .* by fake 1.0/);
  });
});

/** Every C compiler of the machine, each version once. */
function compilers(): string[] {
  const folders = process.env['PATH']!.split(delimiter).filter((f) => existsSync(f));
  const names = folders.flatMap((f) => readdirSync(f)).filter((f) => /^(cc|gcc|clang)(-\d+)?$/.test(f));
  const versions = new Map<string, string>();
  for (const name of [...new Set(names)].sort()) {
    // A link is called by what it is linked as: "gcc-12 (Debian …) 12.2.0" and "cc (Debian …) 12.2.0" are one.
    const { status, stdout } = spawnSync(name, ['--version'], { encoding: 'utf8' });
    if (status === 0) versions.set(stdout.split('\n')[0]!.replace(/^(cc|gcc)(-\d+)?/, 'gcc'), name);
  }
  return [...versions.values()];
}

/** What gcc 14 and clang 16 refuse by default, older ones take with a warning, or with none. */
const STRICT = ['-Wpedantic', '-Wint-conversion', '-Wincompatible-pointer-types', '-Wstrict-prototypes'];

void describe('the kernels', () => {
  for (const name of compilers())
    it(`compile without a warning by ${name}`, () => {
      process.env = { ...before, WESTWIND_CC: name, WESTWIND_CACHE: mkdtempSync(join(folder, 'cache-')) };
      process.env['WESTWIND_CFLAGS'] = `-O1 -Werror ${STRICT.join(' ')}`;
      const { path } = compileKernels();
      const instructions = openLibrary(path).func('const char *ww_instruction_set()') as () => string;
      assert.match(instructions(), /AVX|SSE|NEON|four/);
    });
});

void describe('the library', () => {
  it('exists for this machine and names its instruction set', () => {
    process.env = { ...before };
    const name = openLibrary(compileKernels().path).func('const char *ww_instruction_set()') as () => string;
    assert.match(name(), /AVX|SSE|NEON|four/);
  });
});
