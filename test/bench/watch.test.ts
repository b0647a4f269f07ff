/** What scripts/bench-watch.ts makes of its pairs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSlower, ratioOf } from '../../scripts/bench-watch.js';

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
