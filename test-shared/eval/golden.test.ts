/** The whole golden files of rouge_score, NLTK's stemmer and scikit-learn's figures. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { classificationReport, rouge, ROUGE_TYPES, stem, type RougeScores } from '../../src/eval/index.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';

function golden(name: string): unknown {
  return JSON.parse(readFileSync(join(shared, 'golden/text', name), 'utf8'));
}

test('all ROUGE figures and stems', () => {
  const { pairs, stems } = golden('rouge.json') as {
    pairs: { reference: string; prediction: string; use_stemmer: boolean; scores: RougeScores }[];
    stems: Record<string, string>;
  };
  for (const { reference, prediction, use_stemmer, scores } of pairs) {
    const ours = rouge(reference, prediction, { useStemmer: use_stemmer });
    for (const type of ROUGE_TYPES) {
      for (const figure of ['precision', 'recall', 'fmeasure'] as const) {
        assert.ok(Math.abs(ours[type][figure] - scores[type][figure]) < 1e-9, `${type}: ${prediction}`);
      }
    }
  }
  for (const [word, expected] of Object.entries(stems)) assert.equal(stem(word), expected, word);
});

test('all classification figures', () => {
  const { metrics } = golden('sklearn.json') as {
    metrics: { labels: string[]; predictions: string[] } & Record<string, number>;
  };
  const { accuracy, micro, macro } = classificationReport(metrics.labels, metrics.predictions);
  const ours = {
    accuracy,
    micro_f1: micro.f1,
    macro_f1: macro.f1,
    precision: micro.precision,
    recall: micro.recall,
  };
  for (const [name, value] of Object.entries(ours)) assert.ok(Math.abs(value - metrics[name]!) < 1e-9, name);
});
