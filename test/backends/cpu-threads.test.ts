/** The thread pool by itself, in a process of its own, for a fault of it may well be that a job never ends. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findCompiler } from '../../src/backends/cpu/compile.js';

const KERNELS = join(import.meta.dirname, '../../src/backends/cpu/kernels');

/** Without a sanitizer that the tests themselves run under: the program has its own. */
const env = { ...process.env, LD_PRELOAD: '' };

/** The program, compiled with `flags`, ends well and says nothing. */
function runs(flags: readonly string[], rounds: number, ...before: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-threads-'));
  try {
    const program = join(folder, 'threads');
    const sources = [join(import.meta.dirname, 'cpu-threads.c'), join(KERNELS, 'threads.c')];
    const plain = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-I', KERNELS];
    const words = [...plain, ...flags, ...sources, '-o', program, '-lm'];
    const built = spawnSync(findCompiler()!.command, words, { encoding: 'utf8', env });
    assert.equal(built.status, 0, built.stderr);
    const command = [...before, program, String(rounds)];
    const { status, signal, stdout, stderr } = spawnSync(command[0]!, command.slice(1), {
      encoding: 'utf8',
      timeout: 240_000,
      env,
    });
    assert.deepEqual({ status, signal, stdout, stderr }, { status: 0, signal: null, stdout: '', stderr: '' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('every task of every job runs once, with more threads than cores, and for callers that come and go', () =>
  runs([], 500_000));

// Without address space randomization, which the race detector's fixed memory layout does not bear.
test('the same without a race', () => runs(['-g', '-fsanitize=thread'], 20_000, 'setarch', '-R'));
