/** Which trials successive halving stops: as Optuna's pruner has it, and whatever was asked before. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRung, standingOf, type Halving } from '../../src/train/halving.js';

interface Search extends Halving {
  readonly figures: readonly (readonly (number | null)[])[];
  /** By trial: the evaluation, from 1, at which it was stopped. */
  readonly stopped: readonly (number | null)[];
}

const golden = new URL('../golden/steering/halving.json', import.meta.url);
const { searches } = JSON.parse(readFileSync(golden, 'utf8')) as { searches: Search[] };

/** One trial after the other, each to its stop or its end. */
function stopsOf(figures: readonly (readonly number[])[], how: Halving): (number | null)[] {
  const reached: (readonly number[])[] = [];
  return figures.map((row) => {
    const asked = row.findIndex((figure, i) => {
      const before = reached.flatMap((other) => other[i] ?? []);
      return i < row.length - 1 && isRung(i + 1, how) && standingOf(figure, before, how).stop;
    });
    reached.push(asked === -1 ? row : row.slice(0, asked + 1));
    return asked === -1 ? null : asked + 1;
  });
}

test('the trials that Optuna stops are stopped, at the same evaluations', () => {
  assert.equal(searches.length, 24);
  for (const { figures, stopped, ...how } of searches) {
    const numbers = figures.map((row) => row.map((figure) => figure ?? Number.NaN));
    assert.deepEqual(stopsOf(numbers, how), stopped);
  }
  assert.ok(searches.flatMap(({ stopped }) => stopped).filter((at) => at !== null && at > 1).length > 50);
});

test('rungs are the grace period times the powers of the factor', () => {
  const rungs = (how: Pick<Halving, 'reduction_factor' | 'grace_period'>): number[] =>
    Array.from({ length: 64 }, (_, i) => i + 1).filter((evaluation) => isRung(evaluation, how));
  assert.deepEqual(rungs({ reduction_factor: 4, grace_period: 1 }), [1, 4, 16, 64]);
  assert.deepEqual(rungs({ reduction_factor: 3, grace_period: 2 }), [2, 6, 18, 54]);
});

test('the order of those before a trial is nothing to it, a share of them goes on, and equal ones go on together', () => {
  const how = fc.record({
    reduction_factor: fc.integer({ min: 2, max: 5 }),
    greater_is_better: fc.boolean(),
  });
  const figure = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant(Number.NaN), fc.constant(Infinity));
  fc.assert(
    fc.property(fc.array(figure), figure, how, (before, own, settings) => {
      const standing = standingOf(own, before, settings);
      assert.deepEqual(standingOf(own, [...before].reverse(), settings), standing);
      const sound = [...before, own].filter((one) => !Number.isNaN(one));
      assert.equal(standing.tried, sound.length);
      const better = sound.filter((one) => (settings.greater_is_better ? one > own : one < own));
      const room = Math.max(1, Math.floor(sound.length / settings.reduction_factor));
      assert.equal(standing.stop, Number.isNaN(own) || better.length >= room);
    }),
  );
});
