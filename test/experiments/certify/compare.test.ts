/** Probabilities of two readers, compared. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_PLACES, sumOf, toLogProbabilities, withPlace } from '../../../src/experiments/certify/compare.js';
import { faultsOf } from '../../../src/experiments/certify/summary.js';
import { comparePaired } from '../../../src/eval/index.js';
import { philox4x32 } from '../../../src/util/philox.js';

/** Logits of a place, by its number. */
function logits(seed: number, vocab: number, scale = 4): Float32Array {
  return Float32Array.from({ length: vocab }, (_, i) => {
    const [a, b] = philox4x32([i, seed, 0, 0], [7, 7]);
    return scale * (a / 2 ** 32 + b / 2 ** 32 - 1);
  });
}

const probabilities = (x: Float32Array): number[] => {
  const sum = x.reduce((s, v) => s + Math.exp(v), 0);
  return Array.from(x, (v) => Math.exp(v) / sum);
};

describe('compared probabilities', () => {
  it('are those of the formulas, for 300 drawn places', () => {
    for (let seed = 0; seed < 300; seed++) {
      const vocab = 2 + (seed % 40);
      const [a, b] = [logits(seed, vocab), logits(seed + 1000, vocab, 1 + (seed % 9))];
      const [p, q] = [probabilities(a), probabilities(b)];
      const target = seed % vocab;
      const found = withPlace(
        NO_PLACES,
        toLogProbabilities(a.slice()),
        toLogProbabilities(b.slice()),
        target,
      );
      const near = (x: number, y: number): void =>
        assert.ok(Math.abs(x - y) < 1e-5 * (1 + Math.abs(y)), `${x} ${y}`);
      near(
        found.kl_divergence,
        p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]!), 0),
      );
      near(found.loss_run, -Math.log(p[target]!));
      near(found.loss_exported, -Math.log(q[target]!));
      near(found.largest_difference, Math.max(...p.map((x, i) => Math.abs(Math.log(x / q[i]!)))));
      assert.ok(found.kl_divergence >= 0);
    }
  });

  it('of the same reader are nothing, and of logits that are all moved alike', () => {
    const a = logits(3, 50);
    const one = toLogProbabilities(a.slice());
    const same = withPlace(NO_PLACES, one, one, 4);
    assert.equal(same.kl_divergence, 0);
    assert.equal(same.largest_difference, 0);
    const moved = withPlace(NO_PLACES, one, toLogProbabilities(a.map((x) => x + 8)), 4);
    assert.ok(moved.largest_difference < 1e-5 && moved.kl_divergence < 1e-6);
  });

  it('of nothing and of hardly anything are finite', () => {
    const [a, b] = [new Float32Array([0, -Infinity]), new Float32Array([-Infinity, 0])];
    const found = withPlace(NO_PLACES, a, b, 1);
    for (const figure of Object.values(found)) assert.ok(Number.isFinite(figure));
    assert.ok(found.kl_divergence > 80);
  });

  it('of vocabularies of two sizes are refused', () => {
    assert.throws(() => withPlace(NO_PLACES, logits(1, 4), logits(1, 5), 0), /4 and 5 tokens/);
  });

  it('are summed, but for the largest difference', () => {
    const one = { places: 1, loss_run: 2, loss_exported: 3, kl_divergence: 4, largest_difference: 5 };
    assert.deepEqual(sumOf([one, one, { ...one, largest_difference: 7 }]), {
      ...{ places: 3, loss_run: 6, loss_exported: 9, kl_divergence: 12, largest_difference: 7 },
    });
    assert.deepEqual(sumOf([]), NO_PLACES);
  });
});

describe('faults', () => {
  const right = (count: number): number[] => Array.from({ length: 64 }, (_, i) => (i < count ? 1 : 0));
  const same = { run: 2, exported: 2.1 };

  it('there are none where the answers are about as good', () => {
    assert.deepEqual(faultsOf('classification', comparePaired(right(50), right(51)), same), []);
  });

  it('tell how far the metric is off, to either side', () => {
    const [worse] = faultsOf('classification', comparePaired(right(20), right(50)), same);
    assert.match(worse!, /^accuracy is 46\.88 points below the run's own on the same rows \(p < 0\.001\)$/);
    const [better] = faultsOf('classification', comparePaired(right(50), right(20)), same);
    assert.match(better!, /above/);
  });

  it('tell of texts that it finds far less likely', () => {
    const [fault] = faultsOf('rouge', comparePaired(right(5), right(5)), { run: 2, exported: 4.5 });
    assert.match(fault!, /perplexity is 4\.50, and was 2\.00/);
  });
});
