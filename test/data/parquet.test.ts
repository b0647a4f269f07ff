import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { readTable } from '../../src/data/index.js';
import { readParquet } from '../../src/data/parquet.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-parquet-'));
after(() => rmSync(folder, { recursive: true }));

const ROWS = 40;
const whole = Buffer.from(
  parquetWriteBuffer({
    rowGroupSize: 15,
    columnData: [
      {
        name: 'text',
        data: Array.from({ length: ROWS }, (_, i) => (i % 5 === 0 ? null : `post ${i} ö`)),
        type: 'STRING',
      },
      { name: 'id', data: Array.from({ length: ROWS }, (_, i) => BigInt(i)), type: 'INT64' },
      { name: 'score', data: Array.from({ length: ROWS }, (_, i) => i / 2), type: 'DOUBLE' },
    ],
  }),
);

function write(bytes: Uint8Array): string {
  const path = join(folder, 'table.parquet');
  writeFileSync(path, bytes);
  return path;
}

async function refused(reading: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(reading, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
}

describe('Parquet', { concurrency: false }, () => {
  test('gives the rows of all row groups as JSON values', async () => {
    const rows = await readTable(write(whole));
    assert.deepEqual(
      rows,
      Array.from({ length: ROWS }, (_, i) => ({
        text: i % 5 === 0 ? null : `post ${i} ö`,
        id: i,
        score: i / 2,
      })),
    );
  });

  test('that is cut short or is something else is refused before it is decoded', async () => {
    await refused(readTable(write(whole.subarray(0, whole.length / 2))), /is truncated/);
    await refused(readTable(write(Buffer.from('PAR1PAR1'))), /is truncated/);
    await refused(readTable(write(Buffer.from('a,b\n1,2\n'))), /is not a Parquet file/);
  });

  test('with a lying footer is refused', async () => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(0xffffffff, bytes.length - 8);
    await refused(readTable(write(bytes)), /is not a readable Parquet file: .*length/);
  });

  test('with its pages overwritten is refused', async () => {
    const bytes = Buffer.from(whole);
    bytes.fill(0xff, 4, bytes.length / 3);
    await refused(readTable(write(bytes)), /is not a readable Parquet file/);
  });

  test('that takes more time or memory than allowed is given up', async () => {
    await refused(
      readParquet(write(whole), { megabytes: 500, seconds: 0.02 }),
      /cannot be decoded within .* 0.02 s/,
    );
    await refused(readParquet(write(whole), { megabytes: 2, seconds: 60 }), /cannot be decoded within 2 MB/);
  });
});
