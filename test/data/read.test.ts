import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { readTable, selectColumns, type TableFormat } from '../../src/data/index.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-read-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function refused(path: string, message: RegExp, format?: TableFormat): Promise<void> {
  await assert.rejects(readTable(path, { format }), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.ok(error.message.includes(path) && !error.message.includes('\n'));
    return true;
  });
}

describe('CSV', () => {
  test('with a byte order mark, CRLF, quotes, line breaks in fields and empty lines', async () => {
    const path = write('a.csv', '\ufeffid,text\r\n1,"a ""b"", c\nd"\r\n\r\n2,\r\n');
    assert.deepEqual(await readTable(path), [
      { id: '1', text: 'a "b", c\nd' },
      { id: '2', text: '' },
    ]);
  });

  test('survives writing and reading', async () => {
    const quote = (value: string): string => `"${value.replaceAll('"', '""')}"`;
    const cell = fc
      .string({ unit: 'binary' })
      .filter((value) => !value.includes('\ud800') && value.isWellFormed());
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(cell, cell), { minLength: 1 }), async (rows) => {
        const lines = [['a', 'b'], ...rows].map((row) => row.map(quote).join(','));
        assert.deepEqual(
          await readTable(write('round.csv', lines.join('\n'))),
          rows.map(([a, b]) => ({ a, b })),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('faults are told by line', async () => {
    await refused(write('b.csv', 'a,b\n1,2\n1,2,3\n'), /line 3 ends a row of 3 fields.* 2 columns/);
    await refused(write('b.csv', 'a,b\n1,"2\n'), /opened behind 0 rows of data is never closed/);
    await refused(write('b.csv', 'a,b\n1,"2"x\n'), /line 2: after the quote/);
    await refused(write('b.csv', 'a,b\n1,x"2\n'), /line 2: a quote stands inside/);
    await refused(write('b.csv', 'a,a\n1,2\n'), /names the column "a" twice/);
    await refused(write('b.csv', 'a,b\n'), /has no rows/);
    await refused(write('b.csv', ''), /has no rows/);
    await refused(write('b.csv', Buffer.from('a\ncaf\xe9\n', 'latin1')), /not UTF-8/);
  });
});

describe('JSON', () => {
  const rows = [
    { text: 'a', n: 1 },
    { text: null, n: 2 },
  ];

  test('as a list, under "data", by columns, and by lines', async () => {
    assert.deepEqual(await readTable(write('a.json', `\ufeff${JSON.stringify(rows)}`)), rows);
    assert.deepEqual(await readTable(write('a.json', JSON.stringify({ version: 1, data: rows }))), rows);
    assert.deepEqual(
      await readTable(write('a.json', JSON.stringify({ text: ['a', null], n: [1, 2] }))),
      rows,
    );
    assert.deepEqual(await readTable(write('a.json', JSON.stringify({ data: ['x'] }))), [{ data: 'x' }]);
    const lines = rows.map((row) => JSON.stringify(row)).join('\r\n');
    assert.deepEqual(await readTable(write('a.jsonl', `${lines}\r\n\r\n`)), rows);
    assert.deepEqual(await readTable(write('lines.json', lines)), rows);
    assert.deepEqual(await readTable(write('a.txt', lines), { format: 'jsonl' }), rows);
  });

  test('lines survive writing and reading', async () => {
    const row = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { noNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1 }), async (table) => {
        const lines = table.map((r) => JSON.stringify(r));
        assert.deepEqual(
          await readTable(write('round.jsonl', lines.join('\n'))),
          lines.map((line): unknown => JSON.parse(line)),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('faults are told by line and column', async () => {
    await refused(
      write('b.json', '[\n {"a": 1},\n {"a": }\n]'),
      /line 3, column 8 stands "}", where a value/,
    );
    await refused(
      write('b.json', '[{"a": "x'),
      /line 1, column 10 stands the end, where the rest of a string/,
    );
    await refused(write('b.json', '[{"a": "x\\q"}]'), /column 10 stands .*the rest of a string/);
    await refused(write('b.json', '[{"a" 1}]'), /column 7 stands "1", where a colon/);
    await refused(write('b.json', '[{"a": 1} {"a": 2}]'), /where a comma or \]/);
    await refused(write('b.json', "[{'a': 1}]"), /where a key in double quotes/);
    await refused(write('b.json', '[{"a": NaN}]'), /column 8 stands "N", where a value/);
    await refused(write('b.json', '[1] x'), /column 5 stands "x", where the end/);
    await refused(write('b.json', '[{"a": 1},]'), /column 11 stands "]", where a value/);
    await refused(write('b.json', '['.repeat(200_000)), /stands the end, where a value/);
    await refused(
      write('b.jsonl', '{"a": 1}\n\n{"a": 01}\n'),
      /line 3 is not valid JSON: at line 3, column 8/,
    );
    await refused(write('b.jsonl', '{"a": 1}\n[2]\n'), /line 2 is a list/);
  });

  test('every text that JSON.parse refuses has its fault found', async () => {
    const text = JSON.stringify([{ a: 'x\n"\\', b: [1.5e3, true, null, {}] }], null, 1);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(text.length - 1),
        fc.constantFrom('', '"', '}', '\\', 'x', ',', '\u0001'),
        async (at, put) => {
          const broken = text.slice(0, at) + put + text.slice(at + 1);
          try {
            JSON.parse(broken);
          } catch {
            await refused(write('c.json', broken), /is not valid JSON: at line \d+, column \d+ stands/);
          }
        },
      ),
    );
  });

  test('shapes that hold no table are refused', async () => {
    await refused(write('d.json', '3'), /holds a number/);
    await refused(write('d.json', '[{"a": 1}, 2]'), /row 2 is a number/);
    await refused(write('d.json', '{"a": [1], "b": [1, 2]}'), /"b" has 2 values and "a" has 1/);
    await refused(write('d.json', '{"a": {"0": 1}}'), /"a" is an object/);
    await refused(write('d.json', '[]'), /has no rows/);
  });
});

test('a file that is missing, a folder, or of an unknown format is refused', async () => {
  await refused(join(folder, 'none.csv'), /there is no such file/);
  await refused(join(folder, 'none.parquet'), /there is no such file/);
  await refused(folder, /it is a folder/, 'csv');
  await refused(write('a.xlsx', ''), /does not tell the format/);
});

describe('columns', () => {
  const table = [
    { text: 'a', label: 3, more: [1] },
    { text: ' \n', label: 1 },
    { text: 'c', label: null },
    { label: 2 },
    { text: 'e', label: false },
  ];

  test('are taken by name, as text; rows without a value are reported', () => {
    assert.deepEqual(selectColumns(table, { post: 'text', topic: 'label' }, 'x.json'), {
      rows: [
        { post: 'a', topic: '3' },
        { post: 'e', topic: 'false' },
      ],
      indices: [0, 4],
      dropped: [
        { index: 1, column: 'text', reason: 'empty' },
        { index: 2, column: 'label', reason: 'missing' },
        { index: 3, column: 'text', reason: 'missing' },
      ],
    });
  });

  test('that are missing are told with the nearest name and all that are there', () => {
    assert.throws(
      () => selectColumns(table, { post: 'txt' }, 'x.json'),
      new UserError('x.json has no column "txt"; did you mean "text"? It has text, label, more'),
    );
    assert.throws(() => selectColumns(table, { post: 'toString' }, 'x.json'), UserError);
  });

  test('that hold no text are refused', () => {
    assert.throws(
      () => selectColumns(table, { post: 'more' }, 'x.json'),
      /row 1 holds a list in the column "more"/,
    );
  });
});
