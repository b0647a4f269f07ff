import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedGrams } from '../../../src/data/duplicates/shared.js';
import { RandomState } from '../../../src/util/mt19937.js';
import { atOnce } from '../../../src/util/turns.js';

const shared = (train: readonly string[], tests: readonly string[]): number[][] => {
  const found = atOnce(sharedGrams(train, tests));
  return [[...found.train], [...found.test]];
};
const run = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `w${from + i}`).join(' ');

test('13 words in a row are an overlap, 12 are none, whatever their case and punctuation', () => {
  assert.deepEqual(
    shared([`x y ${run(0, 13)} z`], [`q ${run(0, 13).toUpperCase().replaceAll(' ', ', ')}. r`]),
    [[0], [0]],
  );
  assert.deepEqual(shared([`x y ${run(0, 12)} z`], [`q ${run(0, 12)} r ${run(20, 13)}`]), [[-1], [-1]]);
});

test('texts of fewer words have no run', () => {
  assert.deepEqual(shared(['yes', run(0, 12)], ['yes', run(0, 12), '']), [
    [-1, -1],
    [-1, -1, -1],
  ]);
});

test('each says with which other it has a run in common, the first', () => {
  const train = [run(100, 30), run(0, 20), `${run(500, 14)} ${run(100, 13)}`];
  const tests = [run(7, 13), run(900, 40), run(110, 14), `a ${run(500, 13)}`];
  assert.deepEqual(shared(train, tests), [
    [2, 0, 3],
    [1, -1, 0, 2],
  ]);
});

test('a run of more than 10 training texts is a template', () => {
  const system = run(0, 40);
  const train = (n: number): string[] =>
    Array.from({ length: n }, (_, i) => `${system} ${run(1000 * i + 100, 5)}`);
  assert.deepEqual(shared(train(10), [`${system} more`])[1], [0]);
  assert.deepEqual(shared(train(11), [`${system} more`]), [new Array(11).fill(-1), [-1]]);
  // However often it stands in one of them.
  assert.deepEqual(shared([`${system} ${system} `.repeat(9)], [`${system} more`])[1], [0]);
});

test('what is found is what the brute force finds', () => {
  const random = new RandomState(3);
  const below = (n: number): number => random.permutation([...Array(n).keys()])[0]!;
  const text = (): string => Array.from({ length: below(60) }, () => `w${below(3)}`).join(' ');
  const gramsOf = (one: string): Set<string> => {
    const words = one.split(' ');
    return new Set(
      words
        .map((_, i) => words.slice(i, i + 13))
        .filter((g) => g.length === 13)
        .map(String),
    );
  };
  for (let round = 0; round < 5; round++) {
    const [train, tests] = [Array.from({ length: 40 }, text), Array.from({ length: 40 }, text)];
    for (let i = 0; i < 8; i++) tests[below(40)] = `${tests[below(40)]!} ${train[below(40)]!} ${text()}`;
    const [trainGrams, testGrams] = [train.map(gramsOf), tests.map(gramsOf)];
    const counted = (gram: string): boolean => trainGrams.filter((grams) => grams.has(gram)).length <= 10;
    const meet = (a: Set<string>, b: Set<string>): boolean =>
      [...a].some((gram) => b.has(gram) && counted(gram));
    const [found, foundTests] = shared(train, tests);
    for (const [i, other] of found!.entries()) {
      assert.equal(
        other >= 0,
        testGrams.some((grams) => meet(trainGrams[i]!, grams)),
      );
      if (other >= 0) assert.ok(meet(trainGrams[i]!, testGrams[other]!));
    }
    for (const [i, other] of foundTests!.entries()) {
      assert.equal(
        other >= 0,
        trainGrams.some((grams) => meet(grams, testGrams[i]!)),
      );
      if (other >= 0) assert.ok(meet(trainGrams[other]!, testGrams[i]!));
    }
  }
});
