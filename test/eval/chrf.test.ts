/** chrF against sacrebleu's own figures (test/golden/text/chrf.py), and what it must be whatever the texts. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { chrf, chrfCounts, chrfOf } from '../../src/eval/chrf.js';
import { scorePredictions } from '../../src/eval/index.js';

interface Golden {
  readonly pairs: readonly (readonly [reference: string, answer: string, score: number])[];
  readonly corpora: readonly (readonly [pairs: readonly number[], score: number])[];
}

const { pairs, corpora } = JSON.parse(
  readFileSync(new URL('../golden/text/chrf.json', import.meta.url), 'utf8'),
) as Golden;

/** Sums in another order. */
const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);

test('a text’s chrF is sacrebleu’s', () => {
  for (const [reference, answer, score] of pairs) close(chrf(reference, answer), score / 100);
});

test('that of several is sacrebleu’s of the corpus, and the metric has both', () => {
  for (const [group, score] of corpora) {
    const answered = group.map((i) => ({ reference: pairs[i]![0], answer: pairs[i]![1] }));
    const { metrics, intervals } = scorePredictions('chrf', answered);
    close(metrics['chrf_corpus']!, score / 100);
    close(metrics['chrf']!, group.reduce((sum, i) => sum + pairs[i]![2], 0) / 100 / group.length);
    assert.ok(intervals['chrf']!.low <= metrics['chrf']! && metrics['chrf']! <= intervals['chrf']!.high);
  }
});

test('a text is all of itself, and white space does not count', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string(), (text, other) => {
      const blank = text.trim() === '' || chrfCounts(text, text)[1] === 0;
      assert.equal(chrf(text, text), blank ? 0 : 1);
      const score = chrf(text, other);
      assert.ok(score >= 0 && score <= 1);
      assert.equal(chrf(` ${text}\n`, other.replaceAll(' ', '\t ')), score);
      const twice = chrfCounts(text, other).map((n) => 2 * n);
      close(chrfOf(twice), score);
    }),
  );
});
