import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { classificationReport, confusionMatrix } from '../../src/eval/index.js';

interface Golden {
  metrics: {
    labels: string[];
    predictions: string[];
    accuracy: number;
    micro_f1: number;
    macro_f1: number;
    precision: number;
    recall: number;
  };
}

const { metrics } = JSON.parse(
  readFileSync(new URL('../golden/text/sklearn.json', import.meta.url), 'utf8'),
) as Golden;

describe('classification figures', () => {
  test("are scikit-learn's", () => {
    const report = classificationReport(metrics.labels, metrics.predictions);
    const near = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-9, `${a} ${b}`);
    near(report.accuracy, metrics.accuracy);
    near(report.micro.f1, metrics.micro_f1);
    near(report.micro.precision, metrics.precision);
    near(report.micro.recall, metrics.recall);
    near(report.macro.f1, metrics.macro_f1);
  });

  test('put truths in lines and answers in columns, and divide by zero to zero', () => {
    const report = classificationReport(['a', 'a', 'b'], ['a', 'c', 'a']);
    assert.deepEqual(
      report.labels.map((l) => [l.label, l.support, l.precision, l.recall, l.f1]),
      [
        ['a', 2, 1 / 2, 1 / 2, 1 / 2],
        ['b', 1, 0, 0, 0],
        ['c', 0, 0, 0, 0],
      ],
    );
    assert.deepEqual(confusionMatrix(report), [
      [1, 0, 1],
      [1, 0, 0],
      [0, 0, 0],
    ]);
    assert.equal(report.macro.f1, 1 / 6);
  });

  test('count a missing answer as wrong but as no label', () => {
    const report = classificationReport(['a', 'b', 'b'], ['a', null, 'b']);
    assert.equal(report.accuracy, 2 / 3);
    assert.deepEqual(report.micro, { precision: 1, recall: 2 / 3, f1: 4 / 5 });
    assert.deepEqual(
      report.labels.map((l) => [l.label, l.unanswered]),
      [
        ['a', 0],
        ['b', 1],
      ],
    );
  });

  test('of no rows are zeros; lists that differ in length are refused', () => {
    assert.equal(classificationReport([], []).macro.f1, 0);
    assert.throws(() => classificationReport(['a'], []), RangeError);
  });
});
