import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseConfig } from '../../src/experiments/config/index.js';
import { readTaskData } from '../../src/experiments/run/task-data.js';

test('another seed draws other training rows and the same test rows; a seed of their own draws others', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-data-'));
  const path = join(folder, 'rows.csv');
  const rows = Array.from({ length: 60 }, (_, i) => `text ${i},${['cats', 'dogs'][i % 2]}`);
  writeFileSync(path, `text,label\n${rows.join('\n')}\n`);
  const drawn = async (seed: number, more = ''): Promise<{ train: number[]; test: number[] }> => {
    const { tasks } = parseConfig(`model_name_or_path: m
tasks:
  pets:
    task: classification
    train: {path: ${path}, count: 20${more}}
    test: {path: ${path}, count: 20${more}}
`);
    const data = await readTaskData(tasks[0]!, seed);
    return { train: data.train.map((s) => s.row), test: data.test.map((s) => s.row) };
  };
  const [first, second, own] = [await drawn(42), await drawn(7), await drawn(7, ', seed: 42')];
  assert.deepEqual(first.train, first.test);
  assert.deepEqual(second.test, first.test);
  assert.notDeepEqual(second.train, first.train);
  assert.deepEqual(own, first);
  assert.deepEqual((await drawn(42, ', seed: 7')).test, second.train);
  rmSync(folder, { recursive: true });
});
