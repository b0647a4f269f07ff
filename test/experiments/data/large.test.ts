/** Large files are read row by row, and what is made of them is kept: with the same result as in memory. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import type { Block } from '../../../src/data/index.js';
import { parseConfig, type ResolvedTask } from '../../../src/experiments/config/index.js';
import { readTaskData, type TaskData } from '../../../src/experiments/data/task-data.js';
import { trainingBlocks } from '../../../src/experiments/data/training-blocks.js';
import type { Sample } from '../../../src/tasks/index.js';
import { Tokenizer } from '../../../src/tokenizer/index.js';
import { messageOf } from '../../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-large-'));
const tokenizer = Tokenizer.load('test/golden/stories260K');
process.env['WESTWIND_CACHE'] = join(folder, 'cache');
after(() => rmSync(folder, { recursive: true }));
afterEach(() => delete process.env['WESTWIND_STREAM_BYTES']);

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const words =
  'once upon a time there was little girl who had big red ball and she liked to play in park'.split(' ');
const sentence = (seed: number, length: number): string =>
  Array.from({ length }, (_, i) => words[(seed * (i + 3) + i * i) % words.length]!).join(' ');
const rows = Array.from({ length: 90 }, (_, i) => ({
  text: i % 11 === 5 ? sentence(i - 5, 20) : i === 17 ? ' ' : sentence(i, 5 + ((7 * i) % 30)),
  label: ['cats', 'dogs', 'birds'][i % 3]!,
  story: sentence(i + 1, 30 + i),
  gist: `${sentence(i, 4)}${i % 30 === 1 ? '\nmore' : ''}`,
  n: i,
}));
const lines = (of: readonly unknown[], end = '\n'): string =>
  of.map((row) => JSON.stringify(row) + end).join('');
const path = write('rows.jsonl', lines(rows));
// With a mark, blank lines, and other ends of lines.
const odd = write(
  'odd.jsonl',
  `\ufeff\n  \r\n${lines(rows.slice(0, 40), '\r\n\r\n')}${lines(rows.slice(40), '\r')}`.trimEnd(),
);
const tested = write('tested.jsonl', lines(rows.slice(3, 20).map((row) => ({ ...row, label: 'cats' }))));
const chats = write(
  'chats.jsonl',
  lines(
    rows.map(({ text, gist, n }) => ({
      messages: [
        ...(n % 4 === 0 ? [{ role: 'system', content: 'Be brief.' }] : []),
        { role: 'user', content: text },
        { role: 'assistant', content: n === 8 ? '' : gist },
        ...(n % 3 === 0
          ? [
              { role: 'user', content: 'more' },
              { role: 'assistant', content: sentence(n, 6) },
            ]
          : []),
      ],
    })),
  ),
);

const taskOf = (yaml: string): ResolvedTask =>
  parseConfig(`model_name_or_path: m\nlora: {}\ntasks:\n  one: {${yaml}}\n`).tasks[0]!;
const plainSample = ({ row, source, values, answer }: Sample): unknown => ({ row, source, values, answer });
const plainBlock = ({ ids, labels, positions, segments, rows, sources }: Block): unknown => ({
  ...{ ids, labels, positions, segments, rows: [...rows], sources },
});
const plainData = ({ train, examples, test, validation, overlap, notices, sources }: TaskData): unknown => ({
  ...{ overlap, notices, sources },
  sets: [train, examples, test, validation].map((samples) => samples.map(plainSample)),
});

/** In memory, and streamed. */
async function both<T>(work: () => Promise<T>): Promise<[T, T]> {
  const plain = await work();
  process.env['WESTWIND_STREAM_BYTES'] = '0';
  const streamed = await work();
  delete process.env['WESTWIND_STREAM_BYTES'];
  return [plain, streamed];
}

const CASES = {
  classification: `task: classification, train: {path: ${path}}, test: {path: ${tested}}, allow_overlap: true`,
  'other ends of lines': `task: classification, train: {path: ${odd}, count: 31}, split: {test: 0.2, validation: 9}`,
  summarization: `task: summarization, train: {path: ${path}, fraction: 0.5}, columns: {dialogue: story, summary: gist}, split: {test: 5}`,
  custom: `task: custom, prompt: 'About {label}: {story}', completion: '{gist}', metric: exact_match, train: {path: ${path}}, baselines: []`,
  'left out': `task: classification, train: {path: ${path}}, test: {path: ${tested}}, deduplicate: near, decontaminate: ngram`,
  mixture: `task: classification, train: {mixture: [{path: ${path}, weight: 2}, {path: ${tested}, weight: 1}], stopping_strategy: all_exhausted}, split: {validation: 12}`,
  chat: `task: chat, train: {path: ${chats}}, split: {test: 10}`,
};

describe('rows that are read as they are asked for', () => {
  for (const [name, yaml] of Object.entries(CASES))
    test(`are those of memory: ${name}`, async () => {
      const task = taskOf(yaml);
      const [plain, streamed] = await both(async () => plainData(await readTaskData(task, 7)));
      assert.deepEqual(streamed, plain);
    });

  test('name the line and the place of a fault', async () => {
    const faults: [string, RegExp][] = [
      [lines(rows).replace('"dogs"', '"do'), /rows0\.jsonl: line 2 is not valid JSON/],
      [`${lines(rows)}\n\n[1]\n`, /rows1\.jsonl: line 93 is a list, where an object is needed/],
      [
        lines([...rows.slice(0, 5), { ...rows[5], text: [1] }]),
        /rows2\.jsonl: row 6 holds a list in the column "text"/,
      ],
      [lines(rows.map(({ text }) => ({ text }))), /rows3\.jsonl has no column "label"; it has text/],
      ['\n\n', /rows4\.jsonl has no rows/],
    ];
    for (const [i, [text, message]] of faults.entries()) {
      const task = taskOf(`task: classification, train: {path: ${write(`rows${i}.jsonl`, text)}}`);
      const [plain, streamed] = await both(() => readTaskData(task, 1).then(() => 'no fault', messageOf));
      assert.match(plain, message);
      assert.equal(streamed, plain);
    }
    const latin = join(folder, 'latin.jsonl');
    writeFileSync(
      latin,
      Buffer.concat([
        Buffer.from(lines(rows.slice(0, 3))),
        Buffer.from('{"text": "f\xfcr", "label": "cats"}\n', 'latin1'),
      ]),
    );
    const task = taskOf(`task: classification, train: {path: ${latin}}`);
    const [plain, streamed] = await both(() => readTaskData(task, 1).then(() => 'no fault', messageOf));
    assert.match(streamed, /latin\.jsonl is not UTF-8 text: byte \d+, in line 4, is 0xFC/);
    assert.equal(streamed, plain);
  });
});

describe('texts that are encoded into the cache', () => {
  const cached = (): string[] => readdirSync(join(folder, 'cache/encoded')).sort();
  const encoded = (
    task: ResolvedTask,
    data: TaskData,
    onEncoded?: (done: number) => void,
    signal?: AbortSignal,
  ) => trainingBlocks(data, task, tokenizer, { onEncoded, signal });

  for (const packing of ['concat', 'isolated', 'none'])
    for (const name of ['classification', 'summarization', 'mixture', 'chat'] as const)
      test(`are the blocks of memory: ${name}, ${packing}`, async () => {
        const task = taskOf(`${CASES[name]}, training: {packing: ${packing}, max_length: 70}`);
        const [plain, streamed] = await both(async () => {
          const { blocks, notices } = await encoded(task, await readTaskData(task, 7));
          return { notices, blocks: blocks.map(plainBlock) };
        });
        assert.deepEqual(streamed, plain);
      });

  test('are there for a second run, and not for other texts', async () => {
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const task = taskOf(`${CASES.summarization}, training: {max_length: 90}`);
    const told: number[] = [];
    const run = async (of: ResolvedTask, seed = 1): Promise<number> => {
      told.length = 0;
      const { blocks } = await encoded(of, await readTaskData(of, seed), (done) => told.push(done));
      assert.ok(blocks.length > 0);
      return told.length;
    };
    assert.ok((await run(task)) >= 2);
    assert.equal(told.at(-1), 42);
    const before = cached();
    assert.equal(await run(task), 0);
    // The same file under another name is the same.
    const before2 = readFileSync(path);
    assert.deepEqual(cached(), before);
    assert.ok((await run(task, 2)) > 0);
    assert.ok((await run(taskOf(`${CASES.summarization}, training: {max_length: 91}`))) > 0);
    writeFileSync(path, Buffer.concat([before2, Buffer.from(lines([rows[1]]))]));
    assert.ok((await run(task)) > 0);
    writeFileSync(path, before2);
  });

  test('go on where a run was stopped, or was killed', async () => {
    const many = write(
      'many.jsonl',
      lines(Array.from({ length: 1500 }, (_, i) => ({ ...rows[i % 90], text: sentence(i, 9) }))),
    );
    const task = taskOf(
      `task: classification, train: {path: ${many}}, training: {max_length: 60, packing: isolated}`,
    );
    const whole = (await encoded(task, await readTaskData(task, 1))).blocks.map(plainBlock);
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const data = await readTaskData(task, 1);
    const stop = new AbortController();
    const told: number[] = [];
    await assert.rejects(
      encoded(
        task,
        data,
        (done) => {
          told.push(done);
          if (done > 0) stop.abort();
        },
        stop.signal,
      ),
      { name: 'AbortError' },
    );
    assert.deepEqual(told, [0, 512]);
    told.length = 0;
    const { blocks } = await encoded(task, data, (done) => told.push(done));
    assert.deepEqual(told, [512, 1024, 1500]);
    assert.deepEqual(blocks.map(plainBlock), whole);
  });
});
