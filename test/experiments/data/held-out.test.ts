/** Validation rows that are trained on or tested, too. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig, type ResolvedTask } from '../../../src/experiments/config/index.js';
import { asTested, refuseHeldOut } from '../../../src/experiments/data/held-out.js';
import { readTaskData, type TaskData } from '../../../src/experiments/data/task-data.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-held-out-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, from: number, to: number): string {
  const path = join(folder, name);
  const rows = Array.from(
    { length: to - from },
    (_, i) => `text ${from + i},${['cats', 'dogs'][(from + i) % 2]}`,
  );
  writeFileSync(path, ['text,label', ...rows, ''].join('\n'));
  return path;
}

const [train, tested] = [write('train.csv', 0, 40), write('test.csv', 40, 60)];

async function read(validation: string, more = ''): Promise<{ task: ResolvedTask; data: TaskData }> {
  const rows = `train: {path: ${train}}, test: {path: ${tested}}, validation: ${validation}${more}`;
  const text = `model_name_or_path: m\ntasks:\n  pets: {task: classification, ${rows}}\n`;
  const task = parseConfig(text).tasks[0]!;
  return { task, data: await readTaskData(task, 1) };
}

const notesOf = ({ notices }: TaskData): string[] =>
  notices.filter((text) => /validation rows are/.test(text));

test('rows of their own are drawn as test rows are, for any seed of a run', async () => {
  const path = write('own.csv', 100, 130);
  const { task, data } = await read(`{path: ${path}, count: 10}`);
  refuseHeldOut(task, data);
  assert.equal(data.validation.length, 10);
  assert.equal(data.validation.filter(({ answer }) => answer === 'cats').length, 5);
  assert.deepEqual(notesOf(data), []);
  const again = await readTaskData(task, 7);
  assert.deepEqual(again.validation, data.validation);
  assert.deepEqual(asTested(data).test, data.validation);
});

test('some of another set’s are told, most of them refused', async () => {
  const some = await read(`{path: ${write('some.csv', 35, 45)}}`);
  assert.deepEqual(notesOf(some.data), [
    '5 of 10 validation rows are training rows',
    '5 of 10 validation rows are test rows',
  ]);
  refuseHeldOut(some.task, some.data);

  const trained = write('trained.csv', 30, 42);
  const most = await read(`{path: ${trained}}`);
  assert.throws(() => refuseHeldOut(most.task, most.data), /10 of 12 validation rows are training rows/);
  const allowed = await read(`{path: ${trained}}`, ', allow_overlap: true');
  refuseHeldOut(allowed.task, allowed.data);

  // By those that are tested nothing is chosen, whatever is allowed.
  const copied = write('copied.csv', 45, 60);
  const known = await read(`{path: ${copied}}`, ', allow_overlap: true');
  assert.throws(() => refuseHeldOut(known.task, known.data), /15 of 15 validation rows are test rows/);
});

test('of one file a row is told by its number', async () => {
  const { task, data } = await read(`{path: ${train}, count: 4}`);
  assert.throws(
    () => refuseHeldOut(task, data),
    /4 of 4 validation rows are training rows.*in place of validation/,
  );
});
