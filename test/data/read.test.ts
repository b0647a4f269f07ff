import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
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
    await refused(write('b.csv', 'a,b\n1,2\n1,2,3\n'), /line 3 begins a row of 3 fields.* 2 columns/);
    await refused(write('b.csv', 'a,b\n1,"2\n'), /line 2 opens a quote that is never closed/);
    await refused(write('b.csv', 'a,b\n1,"2"x\n'), /line 2 has "x" after the quote/);
    await refused(write('b.csv', 'a,a\n1,2\n'), /line 1 names the column "a" twice/);
    await refused(write('b.csv', 'a,b\n'), /has no rows/);
    await refused(write('b.csv', ''), /has no rows/);
    // The line is the text's, whatever ends lines and however many a row has.
    for (const end of ['\n', '\r\n', '\r'])
      await refused(write('b.csv', ['a,b', '1,"x', 'y"', '1,2,3', ''].join(end)), /line 4 begins a row of 3/);
  });

  test('with lines that end by CR, LF or both, and any delimiter, is the same table', async () => {
    const cell = fc.string({
      unit: fc.constantFrom('a', 'é', '"', ',', ';', '\t', '|', '\n', '\r', ' '),
      maxLength: 6,
    });
    const table = fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        table,
        fc.constantFrom(',', ';', '\t', '|'),
        fc.array(fc.constantFrom('\n', '\r\n', '\r'), { minLength: 1, maxLength: 3 }),
        async (rows, delimiter, ends) => {
          const quote = (value: string): string => `"${value.replaceAll('"', '""')}"`;
          const lines = [['p', 'q', 'r'], ...rows.map((row) => row.map(quote))].map((row) =>
            row.join(delimiter),
          );
          const text = lines.map((line, i) => line + ends[i % ends.length]!).join('');
          const expected = rows.map(([p, q, r]) => ({ p, q, r }));
          assert.deepEqual(await readTable(write('any.csv', text)), expected);
          assert.deepEqual(await readTable(write('any.txt', text), { format: 'csv', delimiter }), expected);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('the delimiter is the one that parts the first lines alike, or the one that is given', async () => {
    const rows = [
      { text: 'a, b', label: 'x' },
      { text: 'c; d, e', label: 'y' },
    ];
    assert.deepEqual(await readTable(write('d.csv', 'text\tlabel\na, b\tx\nc; d, e\ty\n')), rows);
    assert.deepEqual(await readTable(write('d.csv', 'text;label\na, b;x\n"c; d, e";y\n')), rows);
    assert.deepEqual(await readTable(write('d.csv', '"text"|"label"\na, b|x\nc; d, e|y\n')), rows);
    assert.deepEqual(await readTable(write('d.tsv', 'text\na, b\n')), [{ text: 'a, b' }]);
    assert.deepEqual(await readTable(write('d.csv', 'text\nno delimiter\n')), [{ text: 'no delimiter' }]);
    // A header that two would part: the lines below decide.
    assert.deepEqual(await readTable(write('d.csv', 'a;b,c;d\n1;2;3\n')), [{ a: '1', 'b,c': '2', d: '3' }]);
    assert.deepEqual(await readTable(write('d.csv', 'a^b\n1^2\n'), { delimiter: '^' }), [{ a: '1', b: '2' }]);
    await assert.rejects(readTable(write('d.jsonl', '{}'), { delimiter: ',' }), /goes with CSV/);
  });

  test('columns without a name are passed over, and a quote within a field stands for itself', async () => {
    const path = write('e.csv', 'v1,v2,,,\nham,5" screen,,,\nspam,"a ""b""",x,,\n');
    assert.deepEqual(await readTable(path), [
      { v1: 'ham', v2: '5" screen' },
      { v1: 'spam', v2: 'a "b"' },
    ]);
  });

  test('of 100,000 columns takes no longer than its size', async () => {
    const names = Array.from({ length: 100_000 }, (_, i) => `c${i}`);
    const line = names.join(',');
    const [row] = await readTable(write('wide.csv', `${line}\n${line}\n`));
    assert.equal(Object.keys(row!).length, names.length);
    assert.equal(row!['c99999'], 'c99999');
    const { rows } = selectColumns([row!], { x: 'c5' }, 'wide.csv');
    assert.deepEqual(rows, [{ x: 'c5' }]);
    await refused(write('wide.csv', `${line},c7\n`), /names the column "c7" twice/);
  });
});

describe('texts', () => {
  const table = 'text,label\ncafé 😀,ja\n';
  const expected = [{ text: 'café 😀', label: 'ja' }];

  test('are UTF-8 or, by their byte order mark, UTF-16', async () => {
    const units = Buffer.from(`\ufeff${table}`, 'utf16le');
    assert.deepEqual(await readTable(write('t.csv', units)), expected);
    assert.deepEqual(await readTable(write('t.csv', Buffer.from(units).swap16())), expected);
    assert.deepEqual(await readTable(write('t.csv', `\ufeff${table}`)), expected);
    await refused(write('t.csv', units.subarray(0, -1)), /UTF-16LE text of \d+ bytes, an odd number/);
    const half = Buffer.from('\ufeffa\nb\ud83d\n', 'utf16le');
    await refused(write('t.csv', half), /at byte 8 stands half a character/);
    await refused(write('t.csv', Buffer.from(half).swap16()), /at byte 8 stands half a character/);
  });

  test('of other kinds are refused by name', async () => {
    await refused(
      write('t.csv', Buffer.from(table, 'utf16le')),
      /UTF-16 or UTF-32 text without a byte order mark/,
    );
    await refused(
      write('t.csv', Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])),
      /is UTF-32 text: save it as UTF-8/,
    );
    await refused(write('t.csv', gzipSync(table)), /compressed by gzip: unpack it/);
    await refused(
      write('t.jsonl', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n'),
      /Git LFS pointer/,
    );
    await refused(
      write('t.csv', Buffer.from('a\ncaf\xe9\n', 'latin1')),
      /byte 5, in line 2, is 0xE9, "é" in Windows-1252 .*save it as UTF-8/,
    );
    await refused(
      write('t.csv', Buffer.from('a\ncaf\x93\n', 'latin1')),
      /byte 5, in line 2, is 0x93, a character in Windows-1252/,
    );
  });

  test('the first byte that is not UTF-8 is found', async () => {
    const good = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text));
    await fc.assert(
      fc.asyncProperty(
        good,
        fc.constantFrom(0x80, 0xc0, 0xe9, 0xff, 0xf0),
        good,
        async (before, byte, after) => {
          const bytes = Buffer.concat([
            Buffer.from('x'.repeat(200)),
            before,
            Buffer.from([byte]),
            Buffer.from('.'),
            after,
          ]);
          await refused(write('t.csv', bytes), new RegExp(`byte ${200 + before.length}, `));
        },
      ),
      { numRuns: 100 },
    );
    await refused(write('t.csv', Buffer.from('añ').subarray(0, 2)), /byte 1, .* is cut off/);
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

  test('numbers keep their digits', async () => {
    const digits = fc.oneof(
      fc.bigInt().map(String),
      fc.tuple(fc.bigInt(), fc.nat()).map(([a, b]) => `${a}.${b}`),
      fc.tuple(fc.integer(), fc.constantFrom('.0', '.10', 'e3', 'E+2', '.5e-7')).map(([a, b]) => `${a}${b}`),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => JSON.stringify(x)),
      fc.constant('-0'),
    );
    const key = fc.constantFrom('label', 'a": 1.10, "b', '\\', '"9007199254740993');
    await fc.assert(
      fc.asyncProperty(fc.array(digits, { minLength: 1 }), key, fc.string(), async (numbers, name, text) => {
        const rows = numbers.map(
          (number) => `{${JSON.stringify(name)}: ${number}, "text": ${JSON.stringify(text)}}`,
        );
        for (const [file, content] of [
          ['n.jsonl', rows.join('\n')],
          ['n.json', `[${rows.join(',')}]`],
        ] as const) {
          const table = await readTable(write(file, content));
          const { rows: texts } = selectColumns(table, { [name]: name }, file);
          assert.deepEqual(
            texts.map((row) => row[name]),
            numbers,
          );
          assert.ok(table.every((row) => row['text'] === text));
        }
      }),
    );
    // One string of many escapes is no depth to a regular expression.
    const long = { text: '"\\\n'.repeat(1_000_000), n: 1 };
    const [row] = await readTable(write('long.jsonl', JSON.stringify(long).replace(/1}$/, '1.0}')));
    assert.ok(row!['text'] === long.text && row!['n'] === '1.0');
  });

  test('numbers within a cell are numbers, but for those that JavaScript does not have', async () => {
    const cell = '{"a": [1.10, {"b": 2e3, "long": 9007199254740993, "text": "1.10"}], "c": 1.0, "d": -0}';
    const wanted = { a: [1.1, { b: 2000, long: '9007199254740993', text: '1.10' }], c: 1, d: -0 };
    for (const [file, content] of [
      ['in.jsonl', `{"own": 1.10, "cell": ${cell}}`],
      ['in.json', `[{"own": 1.10, "cell": ${cell}}]`],
      ['columns.json', `{"own": [1.10], "cell": [${cell}]}`],
    ] as const)
      assert.deepEqual(await readTable(write(file, content)), [{ own: '1.10', cell: wanted }]);
  });

  test('lines end by CR, LF or both', async () => {
    assert.deepEqual(await readTable(write('cr.jsonl', '{"a":1}\r{"a":2}\r\n{"a":3}\n')), [
      { a: 1 },
      { a: 2 },
      { a: 3 },
    ]);
    assert.deepEqual(await readTable(write('cr.json', '{"a":1}\r{"a":2}\r')), [{ a: 1 }, { a: 2 }]);
    await refused(write('cr.jsonl', '{"a":1}\r{"a":}\r'), /line 2 is not valid JSON: at line 2, column 6/);
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

  test('that need not be filled are empty texts, and those that are optional may be missing', () => {
    const options = { filled: [['label'], ['text', 'note']], optional: ['note'] } as const;
    const columns = { text: 'text', label: 'label', note: 'note' };
    assert.deepEqual(selectColumns(table, columns, 'x.json', options), {
      rows: [
        { text: 'a', label: '3', note: '' },
        { text: 'e', label: 'false', note: '' },
      ],
      indices: [0, 4],
      dropped: [
        { index: 1, column: 'text', reason: 'empty' },
        { index: 2, column: 'label', reason: 'missing' },
        { index: 3, column: 'text', reason: 'missing' },
      ],
    });
    const { rows, dropped } = selectColumns(table, { post: 'text', topic: 'label' }, 'x', {
      filled: [['topic']],
    });
    assert.deepEqual(
      rows.map(({ post }) => post),
      ['a', ' \n', '', 'e'],
    );
    assert.deepEqual(dropped, [{ index: 2, column: 'label', reason: 'missing' }]);
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
