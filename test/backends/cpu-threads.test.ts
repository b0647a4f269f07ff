/** The thread pool by itself, in a process of its own, for a fault of it may well be that a job never ends. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findCompiler } from '../../src/backends/cpu/compile.js';

const KERNELS = join(import.meta.dirname, '../../src/backends/cpu/kernels');

test('every task of every job runs once, with more threads than cores', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-threads-'));
  try {
    const program = join(folder, 'threads');
    const sources = [join(import.meta.dirname, 'cpu-threads.c'), join(KERNELS, 'threads.c')];
    const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-I', KERNELS];
    const built = spawnSync(findCompiler()!.command, [...flags, ...sources, '-o', program, '-lm'], {
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.stderr);
    const { status, signal, stdout } = spawnSync(program, { encoding: 'utf8', timeout: 60_000 });
    assert.deepEqual({ status, signal, stdout }, { status: 0, signal: null, stdout: '' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
