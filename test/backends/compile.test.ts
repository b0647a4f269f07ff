/** Compiling the CPU kernels: the cache, the words for what goes wrong, and the pool that stands on them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { compileKernels, findCompiler } from '../../src/backends/cpu/compile.js';
import { openLibrary } from '../../src/backends/cpu/library.js';
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

  it('says which error stopped the compiler, and leaves no library', () => {
    process.env['WESTWIND_CC'] = fakeCompiler('bad', false);
    assert.throws(
      () => compileKernels(),
      (e) => e instanceof UserError && /it is too hot.*WESTWIND_CC/.test(e.message),
    );
    assert.deepEqual(readdirSync(join(process.env['WESTWIND_CACHE']!, 'cpu')), []);
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

void describe('the library', () => {
  it('exists for this machine and names its instruction set', () => {
    process.env = { ...before };
    const name = openLibrary(compileKernels().path).func('const char *ww_instruction_set()') as () => string;
    assert.match(name(), /AVX|SSE|NEON|four/);
  });
});
