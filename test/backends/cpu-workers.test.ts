/**
 * Threads of one program that each make a backend and compute, side by side and one after the other: all get the same bits, whoever comes
 * with another number of threads, ends or is ended meanwhile. WESTWIND_WORKERS=100 makes it 100 programs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Part } from '../support/workers.js';

const PLANS: readonly (readonly Part[])[] = [
  // Two at once.
  [
    { threads: 2, after: 0 },
    { threads: 2, after: 0 },
  ],
  // Other numbers of threads, one of which ends while the others compute.
  [
    { threads: 1, after: 0 },
    { threads: 8, after: 50 },
    { threads: 3, after: 300 },
  ],
  // Ended in the midst of it, by whom another comes.
  [
    { threads: 4, after: 0, ended: true },
    { threads: 4, after: 0 },
    { threads: 2, after: 600, ended: true },
  ],
  // The first has ended, and closed the library, before the second opens it.
  [{ threads: 2, after: 0 }],
];

test('worker_threads compute side by side, end and are ended', (t) => {
  const programs = Number(process.env['WESTWIND_WORKERS'] ?? PLANS.length);
  const seen = new Set<string>();
  for (let i = 0; i < programs; i++) {
    const plan = PLANS[i % PLANS.length]!;
    const program = join(import.meta.dirname, '../support/workers.ts');
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', program, JSON.stringify(plan)],
      { encoding: 'utf8', timeout: 240_000 },
    );
    assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' }, `program ${i}`);
    const lines = stdout.trim().split('\n');
    // One that is ended may have been done before.
    assert.ok(
      lines.length > plan.filter(({ ended }) => !ended).length,
      `program ${i}: ${lines.length} answers`,
    );
    for (const line of lines) seen.add(line);
  }
  assert.equal(seen.size, 1, 'all answers are the same');
  t.diagnostic(`${programs} programs`);
});
