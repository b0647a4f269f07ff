import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { holm } from '../../src/eval/index.js';

const rounded = (ps: readonly number[]): number[] => ps.map((p) => Number(p.toFixed(10)));

describe("Holm's correction", () => {
  test('is the definition: the k-th smallest of n times n − k + 1, no less than the one before, at most 1', () => {
    assert.deepEqual(rounded(holm([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02]); // 3 × .01; 1 × .04 < 2 × .03; 4 × .005
    assert.deepEqual(rounded(holm([0.5, 0.6, 0.001])), [1, 1, 0.003]);
    assert.deepEqual(rounded(holm([0.02, 0.02])), [0.04, 0.04]);
    assert.deepEqual(holm([0.2]), [0.2]);
    assert.deepEqual(holm([]), []);
  });

  test('is never below p, never above Bonferroni, and keeps the order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }), (ps) => {
        const corrected = holm(ps);
        for (const [i, p] of ps.entries()) {
          assert.ok(corrected[i]! >= p && corrected[i]! <= Math.min(1, p * ps.length));
          for (const [j, q] of ps.entries()) if (p <= q) assert.ok(corrected[i]! <= corrected[j]!);
        }
      }),
    );
  });
});
