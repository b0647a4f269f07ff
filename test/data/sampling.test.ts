import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { epochOrder, lengthGroupedOrder, splitRows, trainTestSplit } from '../../src/data/index.js';
import { UserError } from '../../src/util/errors.js';

interface Golden {
  labels: string[];
  cases: { train_size: number; random_state: number; train: number[]; rest: number[] }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../golden/text/sklearn.json', import.meta.url), 'utf8'),
) as Golden;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

describe("train_test_split's rows", () => {
  test('stratified, in the same order', () => {
    for (const { train_size, random_state, train, rest } of golden.cases) {
      const split = trainTestSplit(golden.labels.length, {
        trainSize: train_size,
        stratify: golden.labels,
        randomState: random_state,
      });
      assert.deepEqual(split.train, train);
      assert.deepEqual(split.test.slice(0, rest.length), rest);
    }
  });

  test('unstratified, and with labels beyond the basic plane', () => {
    // train_test_split of scikit-learn 1.9.1.
    assert.deepEqual(trainTestSplit(12, { trainSize: 0.5, randomState: 7 }), {
      train: [11, 8, 3, 6, 9, 4],
      test: [7, 10, 2, 5, 0, 1],
    });
    const labels = ['b', '😀', '\uffee', 'b', '😀', '\uffee', 'b', '😀', '\uffee', 'b'];
    assert.deepEqual(trainTestSplit(10, { testSize: 4, stratify: labels, randomState: 3 }), {
      train: [9, 7, 6, 5, 8, 4],
      test: [3, 1, 0, 2],
    });
  });

  test('disjoint, complete, and in proportion', () => {
    const labels = fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 40, maxLength: 120 });
    fc.assert(
      fc.property(
        labels,
        fc.double({ min: 0.2, max: 0.8, noNaN: true }),
        fc.nat(),
        (stratify, trainSize, seed) => {
          const count = (rows: readonly number[], label: string): number =>
            rows.filter((row) => stratify[row] === label).length;
          fc.pre(['x', 'y', 'z'].every((label) => count(range(stratify.length), label) !== 1));
          const { train, test } = trainTestSplit(stratify.length, { trainSize, stratify, randomState: seed });
          assert.deepEqual(ascending([...train, ...test]), range(stratify.length));
          assert.equal(train.length, Math.floor(trainSize * stratify.length));
          for (const label of ['x', 'y', 'z']) {
            const expected = (count(range(stratify.length), label) / stratify.length) * train.length;
            assert.ok(Math.abs(count(train, label) - expected) <= 1);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test('refused in plain words', () => {
    const labels = ['a', 'a', 'b', 'b', 'c', 'c', 'c', 'c'];
    const refused = (options: Parameters<typeof trainTestSplit>[1], message: RegExp): void =>
      assert.throws(
        () => trainTestSplit(labels.length, options),
        (error) => error instanceof UserError && message.test(error.message),
      );
    refused({ trainSize: 2, stratify: labels, randomState: 0 }, /train side has 2 .* 3 labels/);
    refused({ testSize: 0.1, stratify: labels, randomState: 0 }, /test side has 1 .* 3 labels/);
    refused(
      { trainSize: 4, stratify: [...labels.slice(1), 'd'], randomState: 0 },
      /label "a" stands in 1 row only/,
    );
    refused({ trainSize: 1.5, randomState: 0 }, /train size of 1.5 does not fit 8 rows/);
    refused({ trainSize: 8, randomState: 0 }, /count from 1 to 7/);
    refused({ trainSize: 5, testSize: 4, randomState: 0 }, /more than the 8 rows/);
    refused({ trainSize: 0.1, randomState: 0 }, /leaves no row to train on/);
  });
});

test('the order of an epoch holds every row, and depends on seed and epoch', () => {
  const order = epochOrder(101, 5, 2);
  assert.deepEqual(ascending(order), range(101));
  assert.deepEqual(epochOrder(101, 5, 2), order);
  assert.notDeepEqual(epochOrder(101, 5, 3), order);
  assert.notDeepEqual(epochOrder(101, 6, 2), order);
  assert.deepEqual([epochOrder(0, 1, 0), epochOrder(1, 1, 0)], [[], [0]]);
});

test('the order of an epoch puts each row in each place equally often', () => {
  const epochs = 6000;
  const counts = range(3).map(() => range(3).map(() => 0));
  for (const epoch of range(epochs)) {
    for (const [place, row] of epochOrder(3, 1, epoch).entries()) counts[place]![row]! += 1;
  }
  // Five standard deviations of a binomial of 1/3.
  const slack = 5 * Math.sqrt((epochs * 2) / 9);
  for (const count of counts.flat()) assert.ok(Math.abs(count - epochs / 3) < slack, String(count));
});

describe('a split of one table', () => {
  test('has each row in one part, in the sizes and the shares of labels that are asked for', () => {
    const labels = fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 60, maxLength: 200 });
    const size = fc.oneof(
      fc.constant(undefined),
      fc.double({ min: 0.1, max: 0.4, noNaN: true }),
      fc.integer({ min: 6, max: 20 }),
    );
    fc.assert(
      fc.property(
        labels,
        size,
        size,
        fc.boolean(),
        fc.nat(),
        (all, test, validation, stratified, randomState) => {
          const n = all.length;
          const count = (rows: readonly number[], label: string): number =>
            rows.filter((row) => all[row] === label).length;
          fc.pre(
            ['x', 'y', 'z'].every((label) => count(range(n), label) === 0 || count(range(n), label) > 8),
          );
          const options = { stratify: stratified ? all : undefined, randomState };
          const parts = splitRows(n, { test, validation }, options);
          assert.deepEqual(ascending([...parts.train, ...parts.validation, ...parts.test]), range(n));
          for (const [side, wanted] of [
            ['test', test],
            ['validation', validation],
          ] as const) {
            const rows = wanted === undefined ? 0 : wanted < 1 ? Math.ceil(wanted * n) : wanted;
            assert.equal(parts[side].length, rows);
            if (stratified)
              for (const label of ['x', 'y', 'z'])
                assert.ok(
                  Math.abs(count(parts[side], label) - (rows * count(range(n), label)) / n) < 2,
                  label,
                );
          }
          assert.deepEqual(splitRows(n, { test, validation }, options), parts);
          // The test rows are scikit-learn's, whatever else is taken.
          if (test !== undefined)
            assert.deepEqual(parts.test, trainTestSplit(n, { testSize: test, ...options }).test);
        },
      ),
    );
  });

  test('that leaves nothing to train on is refused', () => {
    const split = (test?: number, validation?: number): unknown =>
      splitRows(10, { test, validation }, { randomState: 1 });
    assert.throws(() => split(0.5, 0.5), /leave none of 10 to train on/);
    assert.throws(() => split(4, 6), UserError);
    assert.throws(() => split(11), /a test size of 11 does not fit 10 rows/);
    assert.throws(() => split(undefined, 11), /a validation size of 11 does not fit/);
  });
});

describe('an order by length', () => {
  const cases = fc.record({
    lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 300 }),
    batch: fc.integer({ min: 1, max: 9 }),
    seed: fc.nat({ max: 2 ** 32 - 1 }),
    epoch: fc.nat({ max: 5 }),
  });

  test('has everything once, the longest first, and steps of like length within groups of many', () => {
    fc.assert(
      fc.property(cases, ({ lengths, batch, seed, epoch }) => {
        const order = lengthGroupedOrder(lengths, batch, seed, epoch);
        assert.deepEqual(ascending(order), range(lengths.length));
        assert.deepEqual(lengthGroupedOrder(lengths, batch, seed, epoch), order);
        const sorted = order.map((i) => lengths[i]!);
        assert.equal(sorted[0], Math.max(...lengths));
        // As transformers': 50 steps to a group, or so many that there are four groups at least.
        const group = Math.max(1, Math.min(50, Math.floor(lengths.length / (4 * batch)))) * batch;
        const shuffled = epochOrder(lengths.length, seed, epoch);
        let moved = 0;
        for (let first = 0; first < lengths.length; first += group) {
          const own = sorted.slice(first, first + group);
          // One of its members may have changed places with the longest of all.
          const falls = own.slice(1).filter((length, i) => length > own[i]!).length;
          moved += falls;
          const members = new Set(shuffled.slice(first, first + group));
          assert.ok(order.slice(first, first + group).filter((i) => !members.has(i)).length <= 1);
        }
        assert.ok(moved <= 1, `${moved} steps upwards`);
      }),
    );
  });

  test('differs from epoch to epoch', () => {
    const lengths = range(100).map((i) => 1 + (i % 7));
    assert.notDeepEqual(lengthGroupedOrder(lengths, 4, 1, 0), lengthGroupedOrder(lengths, 4, 1, 1));
  });
});
