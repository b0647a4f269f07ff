import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  alikeInterval,
  bootstrap,
  classificationReport,
  comparePaired,
  macroF1Interval,
  meanIntervals,
  rangeOf,
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
      // Of rows that all differ alike scipy's says that the difference is certain.
      const { low, high } = found.interval;
      if (spread === 0) assert.ok(low < pair.bootstrap[0] && pair.bootstrap[0] < high);
      else nearInterval(found.interval, pair.bootstrap, Math.max(0.04 * spread, 1.001 / pair.a.length / 3));
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

test('of another confidence, too, by the normal distribution’s quantiles as Python has them', () => {
  for (const [confidence, z] of [
    [0.5, 0.6744897501960817],
    [0.9, 1.6448536269514722],
    [0.99, 2.5758293035489004],
    [0.9999, 3.89059188641312],
  ] as const)
    near(shareInterval(0, 10, confidence).high, z ** 2 / (10 + z ** 2), 1e-12, `${confidence}`);
});

describe('rows that all score alike', () => {
  const alike = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 400 }));

  test('have an interval: Wilson’s share of other rows, anywhere from 0 to 1', () => {
    // 0.2775… is Wilson’s bound where none of ten was seen.
    const { low, high } = interval(new Array<number>(10).fill(0.4));
    near(low, 0.4 - 0.4 * 0.2775327998628892, 1e-12, 'low');
    near(high, 0.4 + 0.6 * 0.2775327998628892, 1e-12, 'high');
    const options = { numRuns: 40 };
    fc.assert(
      fc.property(alike, ([value, n]) => {
        const rows = new Array<number>(n).fill(value);
        const found = interval(rows, { resamples: 1 });
        assert.ok(0 <= found.low && found.low <= value && value <= found.high && found.high <= 1);
        assert.ok(found.high - found.low > 3 / (n + 4), 'about 3.84 / n, and never nothing');
        const more = interval([...rows, value], { resamples: 1 });
        assert.ok(more.high - more.low < found.high - found.low, 'narrower with more rows');
        const hits = new Array<number>(n).fill(1);
        const { low, high } = shareInterval(n, n);
        nearInterval(interval(hits, { resamples: 1 }), [low, high], 1e-12);
        nearInterval(interval(new Array<number>(n).fill(0), { resamples: 1 }), [0, 1 - low], 1e-12);
      }),
      options,
    );
  });

  test('also where sums round differently, and where figures are not between 0 and 1', () => {
    const third = [(0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3, 0.2];
    assert.ok(new Set(third).size > 1);
    const found = interval(third, { resamples: 100 });
    assert.ok(found.high - found.low > 0.5);
    assert.deepEqual(rangeOf([5, 5]), [0, 10]);
    assert.deepEqual(rangeOf([-3, 0.5]), [-6, 1]);
    assert.deepEqual(rangeOf([0.5]), [0, 1]);
    const fives = interval([5, 5, 5], { resamples: 1 });
    assert.ok(fives.low < 5 && fives.high > 5 && fives.high < 10);
    assert.deepEqual(fives, alikeInterval([5, 5, 5]));
  });

  test('make no difference certain, least of all where they are few', () => {
    const s = (n: number): number => shareInterval(0, n).high;
    for (const n of [1, 2, 20, 320]) {
      const [ones, halves] = [new Array<number>(n).fill(1), new Array<number>(n).fill(0.5)];
      const none = comparePaired(halves, halves).interval;
      near(none.high, s(n), 1e-12, 'as many rows may be better');
      near(none.low, -s(n), 1e-12, 'as many worse');
      const all = comparePaired(ones, new Array<number>(n).fill(0)).interval;
      assert.equal(all.high, 1);
      near(all.low, 1 - 2 * s(n), 1e-12, 'of rows that are all better');
    }
  });

  test('have a macro F1 as sure as the rows of their labels make it', () => {
    const rows = (counts: readonly number[]): string[] =>
      counts.flatMap((n, label) => new Array<string>(n).fill(`label ${label}`));
    const of = (counts: readonly number[]): Interval => macroF1Interval(rows(counts), rows(counts));
    // Labels of as many rows each: as an accuracy.
    near(of([5, 5]).low, shareInterval(10, 10).low, 1e-12, 'balanced');
    assert.equal(of([5, 5]).high, 1);
    // 2² / (1/99 + 1/1) rows.
    near(of([99, 1]).low, shareInterval(3.96, 3.96).low, 1e-12, 'a rare label');
    const wrong = macroF1Interval(rows([5, 5]), rows([5, 5]).reverse());
    near(wrong.high, shareInterval(0, 10).high, 1e-12, 'none right');
    assert.equal(wrong.low, 0);
    assert.deepEqual(macroF1Interval(['a', 'b'], [null, null]), shareInterval(0, 2));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }), (counts) => {
        const total = counts.reduce((a, b) => a + b, 0);
        const { low } = of(counts);
        assert.ok(low < 1 && low <= shareInterval(total, total).low + 1e-12);
      }),
    );
  });
});
