import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  bootstrap,
  classificationReport,
  comparePaired,
  macroF1Interval,
  meanIntervals,
  shareInterval,
  spread,
  type BootstrapOptions,
  type Interval,
} from '../../src/eval/index.js';

interface Golden {
  classification: {
    labels: string[];
    gold: string[];
    guess: string[];
    accuracy: number;
    micro_f1: number;
    precision: number[];
    recall: number[];
    f1: number[];
    support: number[];
  }[];
  bootstrap: { x: number[]; mean: number; standard_error: number; percentile: [number, number] }[];
  paired: {
    a: number[];
    b: number[];
    difference: number;
    better?: number;
    worse?: number;
    mcnemar_exact?: number;
    permutation: number;
    permutation_exact: boolean;
    bootstrap: [number, number];
  }[];
  seeds: { x: number[]; mean: number; deviation: number }[];
}

/** As scipy and scikit-learn compute them; statistics.py beside it wrote it. */
const golden = JSON.parse(
  readFileSync(new URL('../golden/text/statistics.json', import.meta.url), 'utf8'),
) as Golden;

const interval = (x: readonly number[], options?: BootstrapOptions): Interval =>
  meanIntervals({ x }, options).x;

function near(found: number, wanted: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(found - wanted) <= tolerance, `${what}: ${found}, wanted ${wanted} to ${tolerance}`);
}

/** The bounds are quantiles of draws: 10,000 leave an error of 0.027 standard errors, and a step of the figure where it has steps. */
function nearInterval({ low, high }: Interval, wanted: readonly [number, number], error: number): void {
  near(low, wanted[0], error, 'low');
  near(high, wanted[1], error, 'high');
}

describe('statistics', () => {
  test("figures by label are scikit-learn's, with rows that were not answered", () => {
    for (const { labels, gold, guess, ...wanted } of golden.classification) {
      const report = classificationReport(
        gold,
        guess.map((g) => (g === 'unparsed' ? null : g)),
      );
      near(report.accuracy, wanted.accuracy, 1e-12, 'accuracy');
      near(report.micro.f1, wanted.micro_f1, 1e-12, 'micro F1');
      for (const [i, label] of labels.entries()) {
        const found = report.labels.find((l) => l.label === label);
        near(found?.precision ?? 0, wanted.precision[i]!, 1e-12, `precision of ${label}`);
        near(found?.recall ?? 0, wanted.recall[i]!, 1e-12, `recall of ${label}`);
        near(found?.f1 ?? 0, wanted.f1[i]!, 1e-12, `F1 of ${label}`);
        assert.equal(found?.support ?? 0, wanted.support[i]);
      }
    }
  });

  test("bootstrap intervals of means are scipy's", () => {
    for (const { x, mean, standard_error, percentile } of golden.bootstrap) {
      const step = x.every((v) => v === 0 || v === 1) ? 1.001 / x.length : 0;
      const found = interval(x);
      nearInterval(found, percentile, Math.max(step, 0.15 * standard_error));
      assert.ok(found.low < mean && mean < found.high);
    }
  });

  test('an interval is the same for the same seed, moves with another, and narrows with less confidence', () => {
    const { x } = golden.bootstrap[2]!;
    const first = interval(x, { seed: 3 });
    assert.deepEqual(interval(x, { seed: 3 }), first);
    assert.notDeepEqual(interval(x, { seed: 4 }), first);
    const narrow = interval(x, { seed: 3, confidence: 0.5 });
    assert.ok(first.low < narrow.low && narrow.high < first.high);
  });

  test('the interval of the macro F1 is that of the report on the same samples', () => {
    const { gold, guess } = golden.classification[0]!;
    const answers = guess.map((g) => (g === 'unparsed' ? null : g));
    const slow = bootstrap(
      gold.length,
      (rows) => {
        const [truths, found] = [Array.from(rows, (r) => gold[r]!), Array.from(rows, (r) => answers[r]!)];
        return [classificationReport(truths, found).macro.f1];
      },
      { resamples: 200 },
    )[0]!;
    const fast = macroF1Interval(gold, answers, { resamples: 200 });
    near(fast.low, slow.low, 1e-12, 'low');
    near(fast.high, slow.high, 1e-12, 'high');
  });

  test('samples are as large as the data, of all rows, with repetition', () => {
    const n = 7;
    const counts = new Array<number>(n).fill(0);
    let repeated = 0;
    bootstrap(
      n,
      (rows) => {
        assert.equal(rows.length, n);
        for (const row of rows) counts[row]!++;
        repeated += new Set(rows).size < n ? 1 : 0;
        return [0];
      },
      { resamples: 7000 },
    );
    // Each 7,000 on the average, with a deviation of 77; all seven different in one of 163 samples.
    for (const count of counts) near(count, 7000, 400, 'rows drawn');
    near(7000 - repeated, 7000 * (5040 / 7 ** 7), 30, 'samples without repetition');
  });

  test("paired comparisons are McNemar's exact test for hits, and scipy's permutation test for the rest", () => {
    for (const pair of golden.paired) {
      const found = comparePaired(pair.a, pair.b);
      near(found.difference, pair.difference, 1e-12, 'difference');
      if (pair.mcnemar_exact !== undefined) {
        assert.deepEqual([found.better, found.worse], [pair.better, pair.worse]);
        near(found.p, pair.mcnemar_exact, 1e-12, 'McNemar');
      }
      // scipy's own draws, where it drew, leave an error of 0.0006 at p = 0.08; ours 0.0014 at p = 0.02.
      near(found.p, pair.permutation, pair.permutation_exact ? 1e-9 : 0.005, 'permutation');
      const spread = pair.bootstrap[1] - pair.bootstrap[0];
      nearInterval(found.interval, pair.bootstrap, Math.max(0.04 * spread, 1.001 / pair.a.length / 3));
    }
  });

  test('methods that answer alike do not differ, and p is never 0', () => {
    assert.equal(comparePaired([1, 0, 1], [1, 0, 1]).p, 1);
    const better = Array.from({ length: 40 }, (_, i) => 1 + i / 100);
    const { p, exact } = comparePaired(better, new Array<number>(40).fill(0));
    assert.ok(!exact && p > 0 && p < 0.001);
  });

  test('means and deviations over seeds are numpy’s', () => {
    for (const { x, mean, deviation } of golden.seeds) {
      const found = spread(x);
      near(found.mean, mean, 1e-12, 'mean');
      near(found.deviation, deviation, 1e-12, 'deviation');
    }
    assert.ok(Number.isNaN(spread([1]).deviation));
  });

  test('no rows, and lists of different lengths, are refused', () => {
    assert.throws(() => interval([]), /no rows/);
    assert.throws(() => comparePaired([1], [1, 0]), /1 and 2 rows to compare/);
  });
});

test('the interval of a share is Wilson’s, which has a width at its ends', () => {
  // Wilson's formula, computed in Python.
  for (const [hits, n, low, high] of [
    [0, 10, 0, 0.2775327998628892],
    [10, 10, 0.7224672001371107, 1],
    [1, 10, 0.017876213095072896, 0.4041500267952385],
    [5, 10, 0.236593090512564, 0.7634069094874361],
    [260, 320, 0.7661214565805327, 0.8514646941498988],
  ] as const) {
    const interval = shareInterval(hits, n);
    assert.ok(Math.abs(interval.low - low) < 1e-12 && Math.abs(interval.high - high) < 1e-12, `${hits}/${n}`);
  }
  assert.throws(() => shareInterval(0, 0), RangeError);
});
