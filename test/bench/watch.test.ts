/** What scripts/bench-watch.ts makes of its pairs. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { compare, isSlower, ratioOf } from '../../scripts/bench-watch.js';

test('the ratio of pairs is their geometric mean, with Student’s interval of the logarithms', () => {
  const { ratio, low, high } = ratioOf([1.1, 1.2, 1.15]);
  assert.ok(Math.abs(ratio - Math.cbrt(1.1 * 1.2 * 1.15)) < 1e-12);
  // Of the logarithms: mean 0.139132, deviation 0.043520, t of two degrees of freedom 4.303.
  assert.ok(Math.abs(low - Math.exp(0.139132 - (4.303 * 0.04352) / Math.sqrt(3))) < 1e-4);
  assert.ok(Math.abs(high - Math.exp(0.139132 + (4.303 * 0.04352) / Math.sqrt(3))) < 1e-4);
});

test('slower is what is beyond the limit and not by chance', () => {
  assert.ok(isSlower(ratioOf([1.3, 1.31, 1.29]), 1.1));
  assert.ok(!isSlower(ratioOf([1.05, 1.05, 1.06]), 1.1));
  assert.ok(!isSlower(ratioOf([0.9, 1.9]), 1.1));
});

test('a checkout in which each pass of answering takes longer is found to be slower', async () => {
  const root = resolve(import.meta.dirname, '../..');
  const slowed = mkdtempSync(join(tmpdir(), 'westwind-slowed-'));
  try {
    for (const name of readdirSync(root))
      if (name === 'src') cpSync(join(root, name), join(slowed, name), { recursive: true });
      else if (!name.startsWith('.')) symlinkSync(join(root, name), join(slowed, name));
    const session = join(slowed, 'src/generate/session.ts');
    const before = readFileSync(session, 'utf8');
    const begins = 'private async turn(): Promise<void> {';
    assert.ok(before.includes(begins));
    // Many times what a pass of this model takes; with five pairs the interval is narrow enough on a busy machine, too.
    writeFileSync(
      session,
      before.replace(begins, `${begins} await new Promise((go) => setTimeout(go, 80));`),
    );
    const options = ['--model', 'examples/model', '--random-weights', '--weights', 'nf4', '--device', 'cpu'];
    const work = ['--what', 'generate', '--batch', '1', '--prompt-tokens', '8', '--new-tokens', '20'];
    const found = await compare(root, slowed, [...options, '--threads', '1', ...work], 5);
    assert.ok(isSlower(found, 1.1), JSON.stringify(found));
  } finally {
    rmSync(slowed, { recursive: true });
  }
});
