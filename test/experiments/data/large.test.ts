/** Large files are read row by row, and what is made of them is kept: with the same result as in memory. */

import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Block } from '../../../src/data/index.js';
import { openTable } from '../../../src/data/read.js';
import { parseConfig, type ResolvedTask } from '../../../src/experiments/config/index.js';
import { DataCache } from '../../../src/experiments/data/data-cache.js';
import { readTaskData, type TaskData } from '../../../src/experiments/data/task-data.js';
import { trainingBlocks } from '../../../src/experiments/data/training-blocks.js';
import type { Sample } from '../../../src/tasks/index.js';
import { Tokenizer } from '../../../src/tokenizer/index.js';
import { messageOf } from '../../../src/util/errors.js';
import { takeLock } from '../../../src/util/lock.js';

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

describe('a file of lines', () => {
  test('has the rows of memory, whatever its lines and their ends are', async () => {
    const blank = fc.constantFrom('', ' ', '\t ', '\u00a0', '\u2028', '\ufeff');
    const row = fc.record({ a: fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant(null)) });
    const line = fc.oneof(
      { weight: 5, arbitrary: row.map((one) => JSON.stringify(one)) },
      { weight: 1, arbitrary: fc.tuple(blank, row, blank).map(([a, one, b]) => a + JSON.stringify(one) + b) },
      { weight: 2, arbitrary: blank },
      {
        weight: 1,
        arbitrary: fc.constantFrom('{"a": ', '[1]', '7', '{"a": 1.10}', '{"a": 12345678901234567890}'),
      },
    );
    const file = fc.tuple(
      fc.boolean(),
      fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r', '\n\n')), { maxLength: 12 }),
      line,
    );
    let files = 0;
    await fc.assert(
      fc.asyncProperty(file, async ([mark, all, last]) => {
        const text = (mark ? '\ufeff' : '') + all.map(([one, end]) => one + end).join('') + last;
        const from = write(`any${files++}.jsonl`, text);
        const read = (): Promise<unknown> =>
          openTable(from)
            .then((list) => [...list])
            .catch(messageOf);
        const [plain, streamed] = await both(read);
        assert.deepEqual(streamed, plain);
      }),
      { numRuns: 200 },
    );
  });

  test('that is changed while it is read is refused', async () => {
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const many = Array.from({ length: 60 }, () => rows).flat();
    const from = write('changing.jsonl', lines(many));
    const list = await openTable(from);
    assert.equal((list.at(3) as { n: unknown }).n, 3);
    writeFileSync(from, lines(many.slice(1)));
    assert.throws(() => list.at(100), /changing\.jsonl was changed while it was read; run again/);
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

  test('are none of a file that was put in the place of the one that was read', async () => {
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const from = write('replaced.jsonl', lines(rows));
    const task = taskOf(`task: classification, train: {path: ${from}}, training: {max_length: 90}`);
    const data = await readTaskData(task, 1);
    renameSync(write('new.jsonl', lines(rows.map((row) => ({ ...row, label: 'cats' })))), from);
    const before = cached();
    await assert.rejects(encoded(task, data), /replaced\.jsonl was changed while it was read/);
    assert.deepEqual(cached(), before);
  });

  test('go by all training rows where these say which column is shortened', async () => {
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const long = (n: number): object => ({ a: sentence(n, 40), b: sentence(n + 1, 40), gist: 'a ball' });
    const held = write('held.jsonl', lines([1, 2, 3].map(long)));
    const of = async (name: string, more: string): Promise<unknown> => {
      const from = write(name, lines([{ ...long(1), [more]: sentence(5, 50) }]));
      const task = taskOf(
        `task: custom, prompt: '{a} and {b}', completion: '{gist}', metric: exact_match, baselines: [], ` +
          `train: {path: ${from}}, validation: {path: ${held}}, training: {max_length: 90, packing: none}, allow_overlap: true`,
      );
      const cache = new DataCache(tokenizer);
      const data = await cache.data(task, 1);
      return (await cache.blocks(data, task, 'validation')).blocks.map(plainBlock);
    };
    assert.notDeepEqual(await of('long-a.jsonl', 'a'), await of('long-b.jsonl', 'b'));
  });

  test('have no place where nothing can be written', async () => {
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const cache = process.env['WESTWIND_CACHE'];
    process.env['WESTWIND_CACHE'] = path;
    const task = taskOf(`${CASES.classification}, training: {max_length: 93}`);
    const data = await readTaskData(task, 1);
    await assert.rejects(encoded(task, data), {
      message:
        /^cannot write .*: a part of its path is a file, not a folder \(encoded texts are kept in WESTWIND_CACHE\)$/,
    });
    process.env['WESTWIND_CACHE'] = cache;
  });

  test('that nobody asked for in 30 days go, but for those in use', async () => {
    process.env['WESTWIND_STREAM_BYTES'] = '0';
    const inCache = (name: string): string => join(folder, 'cache/encoded', name);
    const names = ['old', 'used', 'new'];
    for (const name of names) mkdirSync(inCache(name), { recursive: true });
    takeLock(inCache('used.lock'));
    const long = new Date(Date.now() - 31 * 24 * 3600_000);
    for (const name of ['old', 'used', 'used.lock']) utimesSync(inCache(name), long, long);
    const task = taskOf(`${CASES.classification}, training: {max_length: 94}`);
    await encoded(task, await readTaskData(task, 1));
    assert.deepEqual(
      cached().filter((name) => /^(old|used|new)/.test(name)),
      ['new', 'used', 'used.lock'],
    );
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
    assert.deepEqual(told, [0, 128]);
    told.length = 0;
    const { blocks } = await encoded(task, data, (done) => told.push(done));
    assert.deepEqual([told[0], told[1], told.at(-1)], [128, 256, 1500]);
    assert.deepEqual(blocks.map(plainBlock), whole);
  });
});
