/** Damaged files over every reader: `scripts/fuzz.ts` has the same, for as many as one likes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../../scripts/fuzz/run.js';

const CASES = 20_000;

test('20,000 damaged files are read or refused by a UserError: no crash, no hang, no other error', async (t) => {
  const { counts, faults } = await fuzz({ cases: CASES, seed: 18, processes: 2, keep: 'build/fuzz' });
  const all = Object.values(counts);
  const sum = (of: 'ok' | 'refused'): number => all.reduce((n, count) => n + count[of], 0);
  t.diagnostic(`${all.length} readers: ${sum('ok')} files read, ${sum('refused')} refused`);
  assert.deepEqual(faults, []);
  assert.equal(sum('ok') + sum('refused'), CASES);
  // Damage that is always refused at the door, or never, finds nothing.
  assert.ok(sum('ok') > CASES / 20 && sum('refused') > CASES / 2);
});
