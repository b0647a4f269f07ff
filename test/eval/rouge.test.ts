import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isUnread, rouge, ROUGE_TYPES, stem, type RougeScores } from '../../src/eval/index.js';

interface Golden {
  pairs: { reference: string; prediction: string; use_stemmer: boolean; scores: RougeScores }[];
  stems: Record<string, string>;
}

const golden = JSON.parse(
  readFileSync(new URL('../golden/text/rouge.json', import.meta.url), 'utf8'),
) as Golden;

describe('ROUGE', () => {
  test('gives the figures of rouge_score', () => {
    for (const { reference, prediction, use_stemmer, scores } of golden.pairs) {
      const ours = rouge(reference, prediction, { useStemmer: use_stemmer });
      for (const type of ROUGE_TYPES) {
        for (const figure of ['precision', 'recall', 'fmeasure'] as const) {
          const difference = Math.abs(ours[type][figure] - scores[type][figure]);
          assert.ok(difference < 1e-9, `${type} ${figure} of ${JSON.stringify(prediction)}`);
        }
      }
    }
  });

  test('of other scripts has words by Unicode where that is asked for', () => {
    const unicode = { tokenizer: 'unicode' } as const;
    for (const [reference, prediction, words] of [
      ['Мама мыла раму.', 'мама МЫЛА окно', 2 / 3],
      ['今日は天気がいいです', '今日は天気がいいです', 1],
      ['ภาษาไทย', 'ภาษาไทย', 1],
      ['it’s naïve', 'it’s naive', 1 / 2],
      ['हिन्दी भाषा', 'हिन्दी', 2 / 3],
      ['…', '…', 0],
    ] as const)
      assert.ok(Math.abs(rouge(reference, prediction, unicode).rouge1.fmeasure - words) < 1e-9, reference);
    assert.equal(rouge('Мама мыла', 'Мама мыла').rouge1.fmeasure, 0);
    assert.equal(rouge('running мыла', 'runs мыла', { ...unicode, useStemmer: true }).rouge1.fmeasure, 1);
    assert.deepEqual(['Мама', 'naïve café', 'Tokyo 東京都庁舎', '12 ?', ''].map(isUnread), [
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  test('counts a repeated word no more often than the reference has it', () => {
    const { rouge1 } = rouge('the cat', 'the the the cat');
    assert.deepEqual([rouge1.precision, rouge1.recall], [2 / 4, 1]);
  });

  test('takes the union over the lines of the answer for Lsum, the whole text for L (example of Lin 2004, 3.2)', () => {
    const { rougeL, rougeLsum } = rouge('w1 w2 w3 w4 w5', 'w1 w3 w8 w9 w5\nw1 w2 w6 w7 w8');
    assert.equal(rougeLsum.recall, 4 / 5);
    assert.equal(rougeL.recall, 3 / 5);
  });

  test('spends a word of the answer once, though two reference lines could use it', () => {
    assert.equal(rouge('one\none', 'one').rougeLsum.recall, 1 / 2);
  });

  test('stems words of more than three letters only', () => {
    assert.equal(rouge('gas', 'ga', { useStemmer: true }).rouge1.fmeasure, 0);
    assert.equal(rouge('runs', 'run', { useStemmer: true }).rouge1.fmeasure, 1);
  });
});

test("the stemmer gives NLTK's stems", () => {
  for (const [word, expected] of Object.entries(golden.stems)) assert.equal(stem(word), expected, word);
});

test("the stemmer keeps NLTK's exceptions and extensions", () => {
  // Computed by NLTK 3.10.3.
  const stems = {
    skies: 'sky',
    dying: 'die',
    ties: 'tie',
    studied: 'studi',
    died: 'die',
    geology: 'geolog',
    theology: 'theolog',
    hopefully: 'hope',
    generically: 'gener',
    oed: 'o',
    agreed: 'agre',
    sized: 'size',
    falling: 'fall',
    hopping: 'hop',
    ion: 'ion',
    adoption: 'adopt',
    controlling: 'control',
    enjoy: 'enjoy',
    proceed: 'proceed',
  };
  for (const [word, expected] of Object.entries(stems)) assert.equal(stem(word), expected, word);
});
