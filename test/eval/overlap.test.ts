/** Measures of an answer's words against its reference's. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jaccard, lengthRatio, wordOverlap } from '../../src/eval/index.js';

test('words are runs of letters and digits of any script, whatever their case', () => {
  assert.equal(lengthRatio('Tea at four.', 'They drink tea at 4 – yes!'), 6 / 3);
  assert.equal(wordOverlap('Tea at four, tea!', 'TEA or coffee'), 1 / 3);
  assert.equal(jaccard('Tea at four, tea!', 'TEA or coffee'), 1 / 5);
  assert.equal(wordOverlap('Straße nach Köln', 'nach köln'), 2 / 3);
  assert.equal(jaccard('чай в четыре', 'Чай в пять'), 2 / 4);
});

test('texts without words divide by nothing', () => {
  assert.equal(lengthRatio('?!', 'two words'), 2);
  assert.equal(lengthRatio('two words', ''), 0);
  assert.equal(wordOverlap('?!', ''), 1);
  assert.equal(jaccard('', '!'), 1);
  assert.equal(jaccard('word', ''), 0);
});

test('overlaps are shares, 1 for the same text; Jaccard is symmetric and never above the share of either', () => {
  const text = fc.array(fc.constantFrom('a', 'B', 'c', 'dd', 'É', '7')).map((words) => words.join(' '));
  fc.assert(
    fc.property(text, text, (a, b) => {
      for (const share of [wordOverlap(a, b), jaccard(a, b)]) assert.ok(share >= 0 && share <= 1);
      assert.equal(wordOverlap(a, a), 1);
      assert.equal(jaccard(a, a), 1);
      assert.equal(jaccard(a, b), jaccard(b, a));
      if (a !== '' && b !== '') assert.ok(jaccard(a, b) <= Math.min(wordOverlap(a, b), wordOverlap(b, a)));
    }),
  );
});
