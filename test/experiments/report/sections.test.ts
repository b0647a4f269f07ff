/** What stands in the tables of a report: ROUGE, several models, published figures, checks, rows' texts, trainings without a test. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { CheckFigure } from '../../../src/experiments/store/check-figures.js';
import { readTestTexts, type ReportFiles } from '../../../src/experiments/report/index.js';
import { hashFiles } from '../../../src/util/hash-files.js';
import { findRunFolders, readRun } from '../../../src/experiments/store/stored.js';
import { TEST_ROWS, type Fixture } from './fixtures.js';
import { reportOf, sheet, table, written } from './support.js';

const SUMMARIES: Fixture[] = [
  { id: 'zero', method: 'zero_shot', right: 0 },
  { id: 'few', method: 'few_shot', right: 4 },
  { id: 'plain', right: 10 },
  { id: 'noise', right: 12, neftune: 5 },
  { id: 'wide', right: 16, modules: ['q_proj', 'up_proj', 'v_proj'] },
];
const summaries = (more: Partial<Fixture> = {}, runs = SUMMARIES): Fixture[] =>
  runs.map((run) => ({ ...run, task: 'talk', kind: 'summarization' as const, data: 'data/talk', ...more }));

/** A column of a table by its head, the figures without their intervals. */
function column(report: ReportFiles, number: number, head: string): string[] {
  const [heads, ...rows] = table(report, number);
  const place = heads!.indexOf(head);
  assert.ok(place >= 0, `no ${head} in ${heads!.join(', ')}`);
  return rows.map((row) => row[place]!.split(' ')[0]!.replaceAll('*', ''));
}

describe('ROUGE in a report', () => {
  test('Table of methods: ROUGE-1, 2 and L of each, in the order of methods, the best marked', () => {
    const report = reportOf([written(...summaries())]);
    const [, ...rows] = table(report, 1);
    assert.deepEqual(
      rows.map(([name]) => name),
      ['zero-shot', 'few-shot', 'QLoRA', 'QLoRA, NEFTune', 'QLoRA, all modules'],
    );
    // Right answers count 1, wrong ones 1/2, 0 and 1/4.
    assert.deepEqual(column(report, 1, 'ROUGE-1'), ['50.00', '60.00', '75.00', '80.00', '90.00']);
    assert.deepEqual(column(report, 1, 'ROUGE-2'), ['0.00', '20.00', '50.00', '60.00', '80.00']);
    assert.deepEqual(column(report, 1, 'ROUGE-L'), ['25.00', '40.00', '62.50', '70.00', '85.00']);
    assert.equal(rows.flat().filter((cell) => cell.startsWith('**90.00**')).length, 1);
    assert.doesNotMatch(report.markdown, /published/i);
  });

  test('each figure has its interval, and ROUGE-1 the paired test against the first tuned', () => {
    const lines = sheet(reportOf([written(...summaries())]), 'methods-talk.csv');
    assert.equal(lines.length, SUMMARIES.length * 4);
    for (const { figure, value, low, high, p } of lines) {
      assert.ok(
        Number(low) <= Number(value) && Number(value) <= Number(high),
        `${figure} ${low} ${value} ${high}`,
      );
      if (figure !== 'rouge1') assert.equal(p, '');
    }
    const of = (method: string): Record<string, string> =>
      lines.find((line) => line['variant'] === method && line['figure'] === 'rouge1')!;
    // Ten rows better by a half and none worse: two-sided, 2 / 2¹⁰; with Holm's factor, the largest of four first.
    const { difference, p, p_holm } = of('zero-shot');
    assert.deepEqual([difference, p], ['-0.250000', '0.001953']);
    assert.ok(Math.abs(Number(p_holm) - 8 / 2 ** 10) < 1e-6);
    assert.equal(of('QLoRA')['p'], '');
    assert.equal(of('zero-shot')['compared_with'], 'QLoRA');
  });

  test('published figures stand beside SAMSum by method, variant and model, and nowhere else', () => {
    const report = reportOf([written(...summaries({ data: 'data/samsum' }))]);
    const rouge1 = ['33.93', '35.99', '52.84', '52.97', '53.50'];
    assert.deepEqual(column(report, 1, 'ROUGE-1 (published)'), rouge1);
    assert.deepEqual(column(report, 1, 'ROUGE-2 (published)'), ['11.21', '12.97', '27.75', '28.44', '29.66']);
    assert.match(table(report, 1)[1]!.join(' '), /33\.93 Zephyr-7B-beta/);
    const lines = sheet(report, 'methods-talk.csv');
    const printed = lines.filter(({ figure }) => figure === 'rouge1').map((line) => line['published']);
    assert.deepEqual(
      printed,
      rouge1.map((figure) => (Number(figure) / 100).toFixed(6)),
    );
    assert.ok(lines.filter(({ figure }) => figure === 'rougeL').every((line) => line['published'] === ''));
    assert.match(report.markdown, /## Published figures[^]*\| Flan-T5-Large +\| +tuned \|/);
    assert.match(report.html, /class="published">ROUGE-1 <small>published<\/small>/);

    const mistral = summaries(
      { data: 'data/samsum', model: 'models/Mistral-7B-v0.1' },
      SUMMARIES.slice(0, 4),
    );
    // Nothing was printed for Mistral-7B with NEFTune.
    assert.deepEqual(column(reportOf([written(...mistral)]), 1, 'ROUGE-1 (published)'), [
      '32.77',
      '38.87',
      '53.61',
      '–',
    ]);
  });
});

describe('models beside one another', () => {
  const runs: Fixture[] = [
    ...SUMMARIES,
    { id: 'large-zero', method: 'zero_shot', right: 19, model: 'models/large' },
    { id: 'large', right: 18, model: 'models/large' },
    { id: 'untuned', method: 'few_shot', right: 6, model: 'models/asked' },
  ];
  const report = reportOf([written(...summaries({}, runs))]);

  test('each has a line with its best tuned settings, or its best baseline, and ROUGE; the best comes first', () => {
    const [heads, ...rows] = table(report, 2);
    assert.deepEqual(heads!.slice(0, 5), ['model', 'settings', 'ROUGE-1', 'ROUGE-2', 'ROUGE-L']);
    assert.deepEqual(
      rows.map(([model, settings]) => [model, settings]),
      [
        ['models/large', 'QLoRA 100 training rows'],
        ['models/small', 'QLoRA, all modules 100 training rows'],
        ['models/asked', 'few-shot'],
      ],
    );
    assert.deepEqual(column(report, 2, 'ROUGE-1'), ['95.00', '90.00', '65.00']);
    assert.deepEqual(column(report, 2, 'ROUGE-L'), ['92.50', '85.00', '47.50']);
  });

  test('differences are from the best, each with its own test, and in the CSV file, too', () => {
    const [large, small, asked] = sheet(report, 'models-talk.csv').filter(
      (line) => line['figure'] === 'rouge1',
    );
    assert.deepEqual([large!['difference'], large!['p']], ['', '']);
    // Two and twelve rows are worse by a half.
    assert.deepEqual(
      [small!['difference'], small!['p'], small!['p_holm']],
      ['-0.050000', '0.500000', '0.500000'],
    );
    assert.deepEqual(
      [asked!['difference'], asked!['p'], asked!['p_holm']],
      ['-0.300000', '0.000488', '0.000977'],
    );
    assert.match(table(report, 2).at(-1)!.join(' '), /−30\.00 \[−\d\d\.\d\d, −\d\d\.\d\d\] \\< 0\.001$/);
  });
});

test('published accuracies stand beside as many training rows, the first version’s beside Mistral', () => {
  const runs = [266, 533].map((trainRows, i): Fixture => ({ id: `r${trainRows}`, trainRows, right: 8 + i }));
  const of = (more: Partial<Fixture>): ReportFiles =>
    reportOf([written(...runs.map((run) => ({ ...run, data: 'data/20_newsgroups', ...more })))]);
  const zephyr = of({});
  assert.deepEqual(column(zephyr, 1, 'Zephyr-7B-beta, plain (published)'), ['46.05', '55.66']);
  const lines = sheet(zephyr, 'sizes-pets.csv');
  assert.deepEqual(
    lines.map((line) => line['published']),
    ['0.460500', '0.556600'],
  );
  assert.deepEqual(column(of({ model: 'mistral-7b' }), 1, 'Mistral-7B, plain (published)'), [
    '49.30',
    '48.14',
  ]);
});

describe('checks in a report', () => {
  const figure = (mean: number, more: { min?: number; max?: number } = {}): CheckFigure => ({
    mean,
    interval: { low: mean - 0.1, high: mean + 0.1 },
    ...more,
  });
  const checks = (length: number, date: number): NonNullable<Fixture['checks']> => ({
    length: figure(length, { max: 3 }),
    has_date: figure(date, { min: 0.5 }),
    jaccard: figure(0.25),
  });
  const runs: Fixture[] = [
    { id: 'zero', method: 'zero_shot', right: 4, checks: checks(5, 0.5) },
    { id: 'one', seed: 1, checks: checks(1, 0.75) },
    { id: 'two', seed: 2, right: 12, checks: checks(2, 0.25) },
  ];
  const report = reportOf([written(...runs)]);

  test('are columns with their bounds; what is out of them is marked, and counted', () => {
    const place = [...report.markdown.matchAll(/^Table (\d+)\. (.*)/gm)].find(([, , text]) =>
      text!.includes('configuration asked for'),
    )!;
    assert.match(place[2]!, /2 of 6 figures with bounds are out of them, marked ✗\./);
    const [heads, zero, tuned] = table(report, Number(place[1]));
    assert.deepEqual(heads, ['method', 'length ≤ 3', 'has\\_date ≥ 0.5', 'jaccard']);
    assert.deepEqual(zero, [
      'zero-shot',
      '✗ 5.000 [4.900, 5.100]',
      '0.500 [0.400, 0.600]',
      '0.250 [0.150, 0.350]',
    ]);
    // Of two seeds one is below the bound, though their mean is not.
    assert.deepEqual(tuned, ['QLoRA', '1.500 ± 0.707', '✗ 0.500 ± 0.354 1 of 2 seeds', '0.250 ± 0.000']);
    assert.equal([...report.html.matchAll(/<span class="failed">✗ /g)].length, 2);
  });

  test('are a line for each run in the CSV file, passed or failed where they have bounds', () => {
    const lines = sheet(report, 'checks-pets.csv');
    assert.deepEqual(
      lines.map(({ run, check, mean, outcome }) => [run, check, Number(mean), outcome].join(' ')),
      ['zero', 'one', 'two'].flatMap((run, i) => [
        `${run} length ${[5, 1, 2][i]!} ${i === 0 ? 'failed' : 'passed'}`,
        `${run} has_date ${[0.5, 0.75, 0.25][i]!} ${i === 2 ? 'failed' : 'passed'}`,
        `${run} jaccard 0.25 `,
      ]),
    );
    assert.deepEqual([lines[0]!['min'], lines[0]!['max'], lines[1]!['min']], ['', '3', '0.5']);
    assert.equal(reportOf([written({ id: 'none' })]).tables['checks-pets.csv'], undefined);
  });
});

test('rows that tell methods apart have their texts while the test file is the one that the runs read', async () => {
  const data = written();
  const path = join(data, 'test.csv');
  const long = 'word '.repeat(80);
  const text = Array.from({ length: TEST_ROWS }, (_, row) => `"Post ${row} says\n<hello> ${long}",cats\n`);
  writeFileSync(path, `text,label\n${text.join('')}`);
  const testHash = hashFiles([path], Infinity);
  const root = written(
    { id: 'zero', method: 'zero_shot', right: 4, data, testHash },
    { id: 'tuned', right: 12, data, testHash },
  );
  const read = async (): Promise<ReportFiles> =>
    reportOf([root], { texts: await readTestTexts(findRunFolders([root]).map(readRun)) });
  const row = /^\| \d+ +\|/;
  const rows = ({ markdown }: ReportFiles): string[][] =>
    markdown
      .split('\n')
      .flatMap((line) => (row.test(line) ? [line.split('|').map((cell) => cell.trim())] : []));
  const found = rows(await read());
  assert.equal(found.length, 5);
  for (const [, number, shown] of found) {
    assert.ok(shown!.startsWith(`Post ${Number(number) - 1} says \\<hello\\> word word`), shown);
    assert.match(shown!, /^.{100,170} word …$/);
  }
  writeFileSync(path, 'text,label\nanother,cats\n');
  const without = await read();
  assert.deepEqual(without, reportOf([root]));
  assert.doesNotMatch(without.markdown, /Post/);
});

test('a model whose four bits are stored is tuned by QLoRA, one that is held in others by LoRA', () => {
  const wayOf = (weights: string): string =>
    sheet(reportOf([written({ id: 'a', weights })]), 'runs-pets.csv')[0]!['method']!;
  assert.deepEqual(['NF4', 'NF4, single', 'auto'].map(wayOf), ['QLoRA', 'QLoRA', 'LoRA']);
});

test('runs that drew the same test rows are one data set whatever their seed, those that drew others are not', () => {
  const sets = (...seeds: (number | undefined)[]): number => {
    const runs = seeds.map((own, i): Fixture => {
      const drawn = { count: TEST_ROWS, ...(own !== undefined && { seed: own }) };
      return { id: `s${i}`, seed: 42 + i, right: 10 + i, drawn };
    });
    return Object.keys(reportOf([written(...runs)]).tables).filter((name) => name.startsWith('runs-')).length;
  };
  assert.equal(sets(42, 42), 1);
  assert.equal(sets(undefined, 42), 1); // of before there was one: drawn by the run's seed, which is 42
  assert.equal(sets(42, undefined), 2);
  assert.equal(sets(42, 7), 2);
});

test('a training without test rows has its losses, its rows and its curve', () => {
  const runs = [1, 2].map((seed): Fixture => ({ id: `only${seed}`, seed, untested: true, token: ' purr' }));
  const report = reportOf([written(...runs)]);
  assert.match(report.markdown, /^2 runs on pets, by Westwind$/m);
  assert.match(
    report.markdown,
    /2 runs \(2 finished\), 2 trainings without test rows, model models\/small, 2 seeds\./,
  );
  const [, ...rows] = table(report, 1);
  assert.deepEqual(rows, [
    ['QLoRA, seed 1 only1', '100', '3', '300', '3.000', '1.000'],
    ['QLoRA, seed 2 only2', '100', '3', '300', '3.000', '1.000'],
  ]);
  const figure =
    /<figcaption><strong>Figure 1\. Training loss by step on 100 rows<\/strong>[^]*?<\/figure>/.exec(
      report.html,
    )![0];
  assert.match(figure, /aria-label="QLoRA, seed 1: from 3\.00 to 1\.00; QLoRA, seed 2: from 3\.00 to 1\.00"/);
  assert.match(report.markdown, /\*\*purr\*\*/);
  assert.deepEqual(
    sheet(report, 'trained.csv').map(({ run, seed, last_loss }) => [run, seed, last_loss]),
    [
      ['only1', '1', '1.000000'],
      ['only2', '2', '1.000000'],
    ],
  );
});

describe('trainings that were evaluated', () => {
  const EVALUATED: Fixture[] = [
    { id: 'a', right: 14, evaluated: { losses: [2.5, 2.25, 2.75], keepsBest: true, early: true } },
    { id: 'b', right: 12, neftune: 5, evaluated: { losses: [2.5, 2.4, 2.3] } },
  ];

  test('show both losses, with a ring at the best step, in words as well', () => {
    const { html, markdown } = reportOf([written(...EVALUATED)]);
    const figure =
      /<figure[^>]*>(?:(?!<\/figure>)[^])*Training and validation loss by step[^]*?<\/figure>/.exec(html)![0];
    // Of each training a ring in the wide picture and one in the narrow.
    assert.equal(figure.match(/r="6"/g)!.length, 2 * EVALUATED.length);
    assert.equal(figure.match(/r="2\.2"/g)!.length, 2 * 3 * EVALUATED.length);
    assert.match(
      html,
      /QLoRA[^:;]*: from 3\.00 to 1\.00, of validation rows from 2\.50 to 2\.75, the best at step 2; QLoRA, NEFTune/,
    );
    assert.match(markdown, /## Training and validation loss/);
  });

  test('are told with their best step, what was kept, and whether they stopped early', () => {
    const report = reportOf([written(...EVALUATED)]);
    const [first, second] = sheet(report, 'validation-pets.csv');
    const of = (row: Record<string, string> | undefined): string[] =>
      ['run', 'best_metric', 'best_step', 'steps', 'planned_steps', 'stopped_early', 'kept_step'].map(
        (name) => row![name]!,
      );
    assert.deepEqual(of(first), ['a', '2.250000', '2', '3', '9', 'true', '2']);
    assert.deepEqual(of(second), ['b', '2.300000', '3', '3', '3', 'false', '3']);
    assert.match(
      report.markdown,
      /\| QLoRA[^|]* a\)? +\| +9 \| +loss +\| +2\.250 \| +2 \| +3 \(?of 9, stopped early\)? \| the best +\|/,
    );
  });

  test('without test rows are told so, too; and those that were not evaluated are as before', () => {
    const untested = EVALUATED.map((run) => ({ ...run, untested: true }));
    const report = reportOf([written(...untested)]);
    assert.equal(sheet(report, 'validation-trained-1.csv').length, 2);
    assert.match(report.markdown, /Training and validation loss by step/);
    const plain = reportOf([written({ id: 'a', right: 14 })]);
    assert.ok(!Object.keys(plain.tables).some((name) => name.startsWith('validation')));
    assert.match(plain.markdown, /Training loss by step on 100 rows/);
    assert.doesNotMatch(plain.markdown, /validation/);
  });
});

test('a search tells how many it tried and stopped, and ranks them by the validation rows', () => {
  const runs: Fixture[] = [
    { id: 'a', right: 14, neftune: 1, evaluated: { losses: [2.5, 2.25, 2.75] }, searched: { trial: 1 } },
    {
      id: 'b',
      right: 10,
      neftune: 2,
      modules: ['o_proj'],
      evaluated: { losses: [2.4, 2.3, 2.2] },
      searched: { trial: 2 },
    },
    {
      ...{ id: 'c', neftune: 3, evaluated: { losses: [2.6], early: true } },
      searched: { trial: 3, stopped: true },
    },
  ];
  const report = reportOf([written(...runs)]);
  assert.match(
    report.markdown,
    /A search \(asha\) tried 3 of 4 trials; 1 of them stopped on the way, for others were better by then\. The best of 3 tried, by validation loss 2\.2000: QLoRA, on o\\_proj, NEFTune 2 \(trial 2\)\./,
  );
  assert.match(report.markdown, /The best of so many flatters itself/);
  const rows = sheet(report, 'trials.csv').map((row) =>
    ['place', 'trial', 'run', 'validation', 'stopped_by_search'].map((name) => row[name]),
  );
  assert.deepEqual(rows, [
    ['1', '2', 'b', '2.200000', 'false'],
    ['2', '1', 'a', '2.750000', 'false'],
    ['–', '3', 'c', '', 'true'],
  ]);
  assert.doesNotMatch(reportOf([written({ id: 'a', right: 14 })]).markdown, /search/);
});
