import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import type { SchemaElement } from 'hyparquet';
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

  test('gives decimals to their last digit, in every physical type', async () => {
    const types: readonly (readonly [Partial<SchemaElement>, number])[] = [
      [{ type: 'INT32' }, 4],
      [{ type: 'INT64' }, 8],
      [{ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16 }, 16],
      [{ type: 'BYTE_ARRAY' }, 16],
    ];
    const columns = fc.array(
      fc.record({
        physical: fc.constantFrom(...types),
        scale: fc.nat(20),
        required: fc.boolean(),
        // Few values of their own make a dictionary.
        words: fc.array(fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n - 1n }), {
          minLength: 1,
          maxLength: 5,
        }),
      }),
      { minLength: 3, maxLength: 6 },
    );
    const written = (unscaled: bigint, scale: number): string => {
      const sign = unscaled < 0n ? '-' : '';
      const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
      return `${sign}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`.replace(
        /\.?0*$/,
        '',
      );
    };
    await fc.assert(
      fc.asyncProperty(columns, async (of) => {
        const made = of.map(({ physical: [type, bytes], scale, required, words }, c) => {
          const own = words.map((word) => BigInt.asIntN(8 * bytes, word));
          const data = Array.from({ length: 12 }, (_, i) =>
            !required && i % 5 === 4 ? null : own[i % own.length]!,
          );
          const name = `c${c}`;
          const element: SchemaElement = {
            ...{ name, ...type, converted_type: 'DECIMAL', scale, precision: 38 },
            repetition_type: required ? 'REQUIRED' : 'OPTIONAL',
          };
          return { name, data, element, scale };
        });
        const path = write(
          Buffer.from(
            parquetWriteBuffer({
              columnData: made.map(({ name, data }) => ({ name, data })),
              schema: [{ name: 'root', num_children: made.length }, ...made.map(({ element }) => element)],
            }),
          ),
        );
        const rows = await readTable(path);
        for (const { name, data, scale } of made)
          for (const [i, unscaled] of data.entries()) {
            const found = rows[i]![name];
            if (unscaled === null) assert.equal(found, null);
            else assert.equal(String(found), written(unscaled, scale));
          }
      }),
      { numRuns: 6 },
    );
  });

  test('gives float32 and float16 by the digits that were written', async () => {
    const floats = [0.1, 3.14, -1e-7, 16777216, 1.1754944e-38, 3.4028235e38, 0, -0.5, 123456.79, 1 / 3];
    const halves = [0.1, 65504, -2.5, 0.333, 6e-8, 0, 1, 2048, 0.0999, 1e-4];
    const data = { f: floats, h: halves, d: floats };
    const path = write(
      Buffer.from(
        parquetWriteBuffer({
          columnData: [
            { name: 'f', data: data.f, type: 'FLOAT' },
            { name: 'h', data: data.h, type: 'FLOAT16' },
            { name: 'd', data: data.d, type: 'DOUBLE' },
          ],
        }),
      ),
    );
    const rows = await readTable(path);
    const column = (name: string): unknown[] => rows.map((row) => row[name]);
    assert.deepEqual(column('f'), [...floats.slice(0, -1), 0.33333334]);
    assert.deepEqual(column('h'), halves);
    assert.deepEqual(column('d'), floats);
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
      readParquet(write(whole), { limits: { megabytes: 500, seconds: 0.02 } }),
      /cannot be decoded within .* 0.02 s/,
    );
    await refused(
      readParquet(write(whole), { limits: { megabytes: 2, seconds: 60 } }),
      /cannot be decoded within 2 MB/,
    );
  });

  test('ends with its signal, which ends the process that decodes it', async () => {
    const stop = new AbortController();
    const reading = readTable(write(whole), { signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    await assert.rejects(reading, { name: 'AbortError' });
    await assert.rejects(readTable(write(whole), { signal: AbortSignal.abort() }), { name: 'AbortError' });
  });
});
