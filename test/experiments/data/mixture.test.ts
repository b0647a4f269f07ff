import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseConfig, resultHash, type ResolvedTask } from '../../../src/experiments/config/index.js';
import { mixtureSizes } from '../../../src/experiments/data/mixture.js';
import { readTaskData, type TaskData } from '../../../src/experiments/data/task-data.js';
import { describeRow } from '../../../src/experiments/data/training-blocks.js';
import { rowNumber } from '../../../src/tasks/index.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-mixture-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const big = write(
  'big.csv',
  `text,label\n${Array.from({ length: 60 }, (_, i) => `big ${i},${['x', 'y'][i % 2]!}`).join('\n')}\n`,
);
const small = write(
  'small.jsonl',
  Array.from({ length: 11 }, (_, i) =>
    JSON.stringify({ body: i === 4 ? '' : `small ${i}`, label: ['x', 'y'][i % 2] }),
  ).join('\n'),
);

const yamlOf = (train: string, more = ''): string =>
  `model_name_or_path: m\ntasks:\n  pets:\n    task: classification\n    train: {${train}}\n${more}`;
const taskOf = (train: string, more = ''): ResolvedTask => parseConfig(yamlOf(train, more)).tasks[0]!;
const BIG = `path: ${big}`;
const SMALL = `path: ${small}, columns: {text: body}`;
const mixture = (a = '', b = ''): string => `mixture: [{${BIG}${a}}, {${SMALL}${b}}]`;
const countOf = ({ train }: TaskData): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { source } of train) counts[source!.name] = (counts[source!.name] ?? 0) + 1;
  return counts;
};

describe('the rows of a mixture', () => {
  test('without weights are those of all sources, in an order by the seed', async () => {
    const data = await readTaskData(taskOf(mixture()), 1);
    assert.deepEqual(countOf(data), { 'big.csv': 60, 'small.jsonl': 10 });
    assert.equal(new Set(data.train).size, 70);
    assert.deepEqual((await readTaskData(taskOf(mixture()), 1)).train, data.train);
    assert.notDeepEqual((await readTaskData(taskOf(mixture()), 2)).train, data.train);
    // Neighbours are of both, so that what is packed together is, too.
    assert.ok(data.train.slice(0, 35).some(({ source }) => source!.name === 'small.jsonl'));
    assert.ok(
      data.notices.includes('an epoch has 60 of the 60 rows of big.csv, 10 of the 10 rows of small.jsonl'),
    );
  });

  test('are named by their sources’ numbers', async () => {
    const data = await readTaskData(taskOf(mixture()), 1);
    const row = data.train.find(({ values }) => values['text'] === 'small 7')!;
    assert.equal(row.row, 67);
    assert.equal(rowNumber(row), '8 of small.jsonl');
    assert.equal(describeRow(data, 67), 'row 8 of small.jsonl ("small 7")');
    assert.equal(new Set(data.train.map((sample) => sample.row)).size, 70);
    const bad = write('bad.csv', 'text,label\na,x\nb,z\n');
    await assert.rejects(
      readTaskData(taskOf(`mixture: [{${BIG}}, {path: ${bad}}]`, '    labels: [x, y]\n'), 1),
      /bad\.csv: row 2: its answer 'z' is none of the 2 labels/,
    );
  });

  test('with weights have their shares: until one source has no more, or all were taken', async () => {
    const first = await readTaskData(taskOf(mixture(', weight: 3', ', weight: 1')), 1);
    assert.deepEqual(countOf(first), { 'big.csv': 30, 'small.jsonl': 10 });
    assert.equal(new Set(first.train).size, 40);
    assert.equal(first.examples.length, 70);
    const all = await readTaskData(
      taskOf(`${mixture(', weight: 0.75', ', weight: 0.25')}, stopping_strategy: all_exhausted`),
      1,
    );
    assert.deepEqual(countOf(all), { 'big.csv': 60, 'small.jsonl': 20 });
    assert.equal(new Set(all.train).size, 70);
    // A row that is there twice is no repeat.
    assert.equal(all.overlap.train_repeats, 0);
    const third = await readTaskData(
      taskOf(`${mixture(', weight: 4', ', weight: 1')}, stopping_strategy: all_exhausted`),
      1,
    );
    assert.deepEqual(countOf(third), { 'big.csv': 60, 'small.jsonl': 15 });
  });

  test('are capped, drawn and parted as others are', async () => {
    const capped = await readTaskData(taskOf(mixture(', count: 8', ', fraction: 0.5, stratify: false')), 1);
    assert.deepEqual(countOf(capped), { 'big.csv': 8, 'small.jsonl': 5 });
    const drawn = await readTaskData(taskOf(`${mixture()}, count: 14`), 1);
    assert.equal(drawn.train.length, 14);
    const parted = await readTaskData(
      taskOf(mixture(', weight: 2', ', weight: 1'), '    split: {test: 0.2, validation: 7}\n'),
      1,
    );
    assert.deepEqual([parted.test.length, parted.validation.length, parted.examples.length], [14, 7, 49]);
    const { 'big.csv': bigs, 'small.jsonl': smalls } = countOf(parted);
    assert.equal(bigs, 2 * smalls!);
    assert.ok(!parted.train.some((sample) => parted.test.includes(sample)));
  });

  test('are deduplicated across sources, the first stays', async () => {
    const copy = write('copy.csv', 'text,label\nbig 3,y\nnew,x\nBig 4!,x\n');
    const data = await readTaskData(
      taskOf(`mixture: [{${BIG}}, {path: ${copy}}]`, '    deduplicate: near\n'),
      1,
    );
    assert.deepEqual(countOf(data), { 'big.csv': 60, 'copy.csv': 1 });
    assert.ok(
      data.notices.includes(
        '2 training rows are left out, because an earlier one has the text, or nearly (row 1 of copy.csv as row 4 of big.csv, row 3 of copy.csv as row 5 of big.csv)',
      ),
    );
    const nothing = write('nothing.csv', 'text,label\nbig 3,y\n');
    await assert.rejects(
      readTaskData(taskOf(`mixture: [{${BIG}}, {path: ${nothing}}]`, '    deduplicate: exact\n'), 1),
      /not one row of nothing\.csv is left/,
    );
  });
});

test('a mixture’s settings are checked where they stand', () => {
  const refused = (train: string, message: RegExp): void => assert.throws(() => taskOf(train), message);
  refused('mixture: [{path: a.csv}, {path: b/a.csv}]', /train\.mixture\[2\] has the name a\.csv/);
  taskOf('mixture: [{path: a.csv}, {path: b/a.csv, name: other}]');
  refused('mixture: [{path: a.csv}, {path: b.csv, weight: 2}]', /train\.mixture\[1\] needs a 'weight'/);
  refused('mixture: [{path: a.csv, weight: 0}]', /train\.mixture\[1\]\.weight/);
  refused('mixture: [{path: a.csv, hub: b/c}]', /train\.mixture\[1\] needs either 'path'/);
  refused('mixture: [{path: a.csv}], path: b.csv', /train has 'mixture' beside 'path': make that one of/);
  refused('mixture: [{path: a.csv}], format: csv', /train\.format goes with a source of the mixture/);
  refused('mixture: [{path: a.csv, columns: {body: x}}]', /mixture\[1\]\.columns\.body/);
  refused('mixture: [{path: a.csv, wieght: 1}]', /did you mean weight/);
  assert.throws(
    () => parseConfig(yamlOf('path: a.csv', '    test: {mixture: [{path: b.csv}]}\n')),
    /test\.mixture/,
  );
});

test('a mixture’s id follows what determines its rows, and no names', () => {
  const prints = { model: 'M', backend: 'cpu', batchInvariant: true, data: { 'pets.train': 'X' } };
  const hash = (train: string): string => resultHash(parseConfig(yamlOf(train)), prints);
  const base = 'mixture: [{path: a.csv, weight: 1}, {path: b.csv, weight: 1}]';
  assert.equal(hash(base), hash(base.replace('b.csv', 'c.csv, name: other')));
  for (const other of [
    base.replace('weight: 1', 'weight: 2'),
    base.replace('path: b.csv', 'path: b.csv, count: 3'),
    `${base}, stopping_strategy: all_exhausted`,
    base.replaceAll(', weight: 1', ''),
  ])
    assert.notEqual(hash(other), hash(base), other);
});

test('sizes are shares of what there is', () => {
  assert.deepEqual(mixtureSizes([10, 20], [undefined, undefined], 'first_exhausted'), [10, 20]);
  assert.deepEqual(mixtureSizes([10, 1000], [0.7, 0.3], 'first_exhausted'), [10, 4]);
  assert.deepEqual(mixtureSizes([10, 1000], [0.7, 0.3], 'all_exhausted'), [2333, 1000]);
  assert.deepEqual(mixtureSizes([3, 1_000_000], [1e6, 1e-6], 'first_exhausted'), [3, 1]);
  assert.deepEqual(mixtureSizes([7], [2], 'all_exhausted'), [7]);
});
