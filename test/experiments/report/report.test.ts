import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ReportOptions } from '../../../src/experiments/report/index.js';
import type { Fixture } from './fixtures.js';
import { reportOf, sheet, table, written } from './support.js';

const ZERO: Fixture = { id: 'zero', method: 'zero_shot', right: 4 };
const SIZES: Fixture[] = [
  { id: 'a1', seed: 1, right: 10 },
  { id: 'a2', seed: 2, right: 14 },
  { id: 'b1', seed: 1, right: 18, trainRows: 200 },
];
const LARGE: Fixture = { id: 'large', model: 'models/large', right: 19 };

describe('the tables of a report', () => {
  test('Table 1 has a row for each size, seeds as mean ± deviation with the interval of the mean', () => {
    const report = reportOf([written(...SIZES)]);
    const [heads, first, second] = table(report, 1);
    assert.deepEqual(heads, ['training rows', 'plain']);
    assert.match(first!.join(' '), /^100 60\.00 ± 14\.14 \[\d+\.\d\d, \d+\.\d\d\]$/); // of 50 and 70: 20 / √2
    assert.match(second!.join(' '), /^200 90\.00 \[\d+\.\d\d, \d+\.\d\d\]$/);
    const [of100, of200] = sheet(report, 'sizes-pets.csv');
    assert.deepEqual([of100!['value'], of100!['deviation'], of100!['seeds']], ['0.600000', '0.141421', '2']);
    assert.deepEqual([of200!['value'], of200!['deviation'], of200!['seeds']], ['0.900000', '', '1']);
  });

  test('a baseline in a run of its own stands beside the tuned ones, with a paired test', () => {
    const report = reportOf([written(ZERO, ...SIZES)]);
    const [zero, tuned] = table(report, 2).slice(1);
    assert.equal(zero![0], 'zero-shot');
    assert.match(zero!.join(' '), /20\.00 \[/);
    assert.equal(tuned![0], 'QLoRA');
    assert.match(tuned!.join(' '), /\*\*90\.00\*\* \[.*reference/);
    // Of 20 rows 14 are better and none is worse: two-sided, 2 / 2¹⁴.
    const [row] = sheet(report, 'methods-pets.csv');
    assert.deepEqual([row!['method'], row!['difference'], row!['p']], ['zero-shot', '-0.700000', '0.000122']);
  });

  test('a second model makes Table 3, the best first', () => {
    const one = reportOf([written(ZERO, ...SIZES)]);
    assert.equal(one.tables['models-pets.csv'], undefined);
    const two = reportOf([written(ZERO, ...SIZES, LARGE)]);
    const rows = table(two, 3).slice(1);
    assert.deepEqual(
      rows.map(([model]) => model),
      ['models/large', 'models/small'],
    );
    assert.match(rows[0]!.join(' '), /95\.00/);
    assert.match(rows[1]!.join(' '), /90\.00.*−5\.00/);
  });

  test('published figures stand only beside data of their name, and not where they are not wanted', () => {
    const has = (data: string, options?: ReportOptions): boolean =>
      /published/i.test(reportOf([written(...SIZES.map((run) => ({ ...run, data })))], options).markdown);
    assert.equal(has('data/pets'), false);
    assert.equal(has('data/samsum'), false); // a classification is none of its kind
    assert.equal(has('data/20-newsgroups'), true);
    assert.equal(has('data/20-newsgroups', { published: 'none' }), false);
    assert.equal(has('data/pets', { published: { pets: '20newsgroups' } }), true);
  });
});

describe('the files of a report', () => {
  test('have the same bytes for folders in another order and other times', () => {
    const fixtures = [ZERO, ...SIZES, LARGE];
    const made = written(...fixtures);
    const report = reportOf([made]);
    const shuffled = [...fixtures].reverse().map(({ id }) => join(made, id));
    assert.deepEqual(reportOf(shuffled), report);
    const later = reportOf([
      written(...fixtures.map((run) => ({ ...run, started: '2026-03-04T05:06:07.000Z' }))),
    ]);
    assert.equal(later.markdown, report.markdown);
    assert.deepEqual(later.tables, report.tables);
  });

  test('show markup in data as text', () => {
    const evil = '<script>alert(1)</script>';
    const labels = [evil, 'dogs'];
    const root = written(
      { ...ZERO, task: '<script>', labels },
      { id: 'a', task: '<script>', labels, token: evil },
      { id: 'b', task: '<script>', failure: evil },
    );
    renameSync(join(root, 'b'), join(root, '<script>b'));
    const { html } = reportOf([root], { title: evil });
    assert.doesNotMatch(html, /<script/i);
    assert.match(html, /&lt;script&gt;alert\(1\)/);
  });

  test('quote what CSV must have quoted', () => {
    const task = 'cats, "dogs"';
    const report = reportOf([written(...SIZES.map((run) => ({ ...run, task })))]);
    const name = Object.keys(report.tables).find((file) => file.startsWith('sizes-'))!;
    assert.match(name, /^[\w.-]+$/);
    assert.match(report.tables[name]!, /^"cats, ""dogs""",/m);
    assert.equal(sheet(report, name)[0]!['task'], task);
  });
});

describe('runs that are not whole', () => {
  test('failed and stopped ones are told with their cause, and change no figure', () => {
    const failed: Fixture = { id: 'bad', seed: 7, failure: 'no memory' };
    const { markdown, tables } = reportOf([
      written(...SIZES, failed, { id: 'part', seed: 8, unfinished: true }),
    ]);
    assert.match(markdown, /\| bad +\| +failed \|.*no memory/);
    assert.match(markdown, /\| part +\| +stopped \|/);
    assert.deepEqual(tables, reportOf([written(...SIZES)]).tables);
  });

  const damages = ['{', '[1]', '{"id": 3}', '', '\u001b[31m\n'];
  const files = ['manifest.json', 'results.json', 'pets/predictions-tuned.jsonl', 'pets/inspected.json'];
  for (const file of files)
    test(`a run whose ${file} is damaged is listed with its cause, and the others are as without it`, () => {
      const without = reportOf([written(...SIZES.slice(1))]);
      for (const text of damages) {
        if (text === '' && file.endsWith('.jsonl')) continue;
        const root = written(...SIZES);
        const path = join(root, SIZES[0]!.id, file);
        writeFileSync(path, `${text}\n`);
        const { markdown, tables, html } = reportOf([root]);
        assert.deepEqual(tables, without.tables);
        const [line] = markdown.split('\n').filter((l) => l.startsWith(`| ${SIZES[0]!.id} `));
        assert.match(line ?? markdown, /\| +failed \|.*damaged|whole answers/);
        assert.match(line!, /run its configuration again|removed?/);
        for (const shown of [markdown, html]) assert.doesNotMatch(shown, /\u001b/);
      }
    });

  test('answers that are missing cost the run alone; folders without runs are named', () => {
    const root = written(...SIZES);
    rmSync(join(root, 'a1/pets/predictions-tuned.jsonl'));
    const { markdown, tables } = reportOf([root]);
    assert.match(markdown, /\| a1 +\| +failed \|.*predictions-tuned\.jsonl is missing/);
    assert.deepEqual(tables, reportOf([written(...SIZES.slice(1))]).tables);
    assert.match(markdown, new RegExp(`\\(${SIZES.length - 1} finished, 1 failed\\)`));
    const empty = join(root, 'empty');
    mkdirSync(empty);
    assert.throws(() => reportOf([empty]), /empty holds no runs/);
    assert.throws(() => reportOf([join(root, 'none')]), /none is no folder/);
  });
});

test('a stored interval of no width, as of before rows that score alike had one, is made anew of the rows', () => {
  const report = reportOf([
    written(
      { id: 'none', method: 'zero_shot', right: 0 },
      { id: 'all', right: 20 },
      { id: 'more', right: 20, trainRows: 200 },
    ),
  ]);
  assert.match(report.markdown, /100\.00 % \[83\.89, 100\.00\]/);
  assert.match(report.markdown, /0\.00 \[0\.00, 16\.11\]/);
  assert.doesNotMatch(report.markdown, /\[(\S+), \1\]/);
  // Names that have commas are parted by more than that.
  assert.match(
    report.markdown,
    /QLoRA, 100 training rows; and QLoRA, 200 training rows are tied for the best/,
  );
});
