/**
 * The child process of parquet.ts: decodes the file named on its command line and writes it as JSON Lines, one row group at a time.
 * Exits with 1 and a reason on the error stream where the file is at fault.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { messageOf } from '../util/errors.js';
import { nestedColumns, numberReadings, RAW_PARSERS } from './parquet-numbers.js';

async function* jsonLines(path: string): AsyncGenerator<string> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const readings = [...numberReadings(metadata)];
  const nested = nestedColumns(metadata);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({
      ...{ file, metadata, compressors, rowStart, rowEnd },
      parsers: RAW_PARSERS,
    });
    for (const row of rows) {
      for (const name of nested) row[name] ??= null;
      // A chunk of another column that ends too early leaves its last values undefined; a null is null.
      if (Object.values(row).includes(undefined))
        throw new Error('a column has fewer values than the table rows');
      for (const [name, reading] of readings) row[name] = reading(row[name]);
      yield `${JSON.stringify(row, plain)}\n`;
    }
    rowStart = rowEnd;
  }
  if (rowStart !== Number(metadata.num_rows)) throw new Error('its row groups do not add up to its rows');
}

/** What JSON lacks: 64-bit integers become numbers where those are exact, strings where not, and bytes Base64. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

try {
  await pipeline(Readable.from(jsonLines(process.argv[2]!)), process.stdout);
} catch (error) {
  // hyparquet stumbles over damage with TypeErrors and RangeErrors, whose words would tell a reader nothing.
  const known = error instanceof Error && error.constructor === Error;
  process.stderr.write(known ? messageOf(error) : 'its contents are damaged');
  process.exitCode = 1;
}
