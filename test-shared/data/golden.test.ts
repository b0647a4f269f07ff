/** The whole golden file of scikit-learn, and real data: 20 Newsgroups as CSV, SAMSum as JSON. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTable, selectColumns, trainTestSplit } from '../../src/data/index.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';

interface Golden {
  labels: string[];
  cases: { train_size: number; random_state: number; train: number[]; rest: number[] }[];
}

test("all splits are scikit-learn's", () => {
  const golden = JSON.parse(readFileSync(join(shared, 'golden/text/sklearn.json'), 'utf8')) as Golden;
  for (const { train_size, random_state, train, rest } of golden.cases) {
    const options = { trainSize: train_size, stratify: golden.labels, randomState: random_state };
    const split = trainTestSplit(golden.labels.length, options);
    assert.deepEqual(split.train, train);
    assert.deepEqual(split.test.slice(0, rest.length), rest);
  }
});

test('20 Newsgroups: every row is read, and the empty posts are reported', async () => {
  for (const [name, rows, empty] of [
    ['train', 11314, 300],
    ['test', 7532, 215],
  ] as const) {
    const path = join(shared, `data/20newsgroups/${name}.csv`);
    const table = await readTable(path);
    const { rows: kept, dropped } = selectColumns(table, { text: 'text', label: 'label' }, path);
    assert.deepEqual([table.length, dropped.length, kept.length], [rows, empty, rows - empty]);
    assert.ok(dropped.every(({ column }) => column === 'text'));
    assert.equal(new Set(kept.map((row) => row.label)).size, 20);
  }
});

test('SAMSum: every dialogue is read', async () => {
  const table = await readTable(join(shared, 'data/samsum/test.json'));
  const { rows } = selectColumns(table, { dialogue: 'dialogue', summary: 'summary' }, 'test.json');
  assert.equal(rows.length, 819);
});
