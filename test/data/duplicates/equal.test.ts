import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalTexts, repeatsAndNear, repeatsOf } from '../../../src/data/duplicates/index.js';
import { atOnce } from '../../../src/util/turns.js';

const texts = fc.array(fc.constantFrom('a', 'b', 'ab', 'ba', '', 'a b', 'A b', 'é', '😀', '\u0000'), {
  maxLength: 40,
});

test('repeats and equals are those of a plain search', () => {
  fc.assert(
    fc.property(texts, texts, (a, b) => {
      const firstIn = (of: readonly string[]): number[] => a.map((text) => of.indexOf(text));
      assert.deepEqual([...atOnce(equalTexts(a, b))], firstIn(b));
      const repeats = a.map((text, i) => (a.indexOf(text) < i ? a.indexOf(text) : -1));
      assert.deepEqual([...atOnce(repeatsOf(a))], repeats);
      const { equal, near } = atOnce(repeatsAndNear(a));
      assert.deepEqual([...equal], repeats);
      for (const [i, of] of near.entries()) assert.ok(of < 0 || (equal[i]! < 0 && a[of] !== a[i]));
    }),
  );
});

test('texts are asked for, and none is kept', () => {
  const asked: number[] = [];
  const count = 1000;
  const of = { length: count, at: (i: number) => (asked.push(i), `text ${i % 990}`) };
  assert.equal(atOnce(repeatsOf(of)).filter((first) => first >= 0).length, 10);
  // Each once, and what it is equal to.
  assert.equal(asked.length, count + 10);
});
