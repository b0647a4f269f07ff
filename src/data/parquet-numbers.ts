/**
 * Parquet's numbers as people wrote them. A DECIMAL is a whole number and a scale, which doubles do not hold; a float32 that was written
 * 0.1 is 0.10000000149011612 as a double. Both come out as the shortest decimals that say the same.
 */
import type { FileMetaData, ParquetParsers, SchemaElement } from 'hyparquet';
import { fromFloat32, toFloat32 } from '../files/convert.js';

/** What becomes of a value of a column. */
type Reading = (value: unknown) => unknown;

/** No decimal that anyone writes has more places. */
const MOST_PLACES = 10_000;

/** hyparquet takes a byte array for text but where it is a geography; real ones are read as geometries, which is the same. */
export const RAW_PARSERS: Partial<ParquetParsers> = { geographyFromBytes: (bytes) => bytes };

/**
 * Has decimals read as the whole numbers that stand in the file, by a change of `metadata` that goes with `RAW_PARSERS`, and says how the
 * values of columns are read then; those within lists and objects, which no task takes, stay as they are. Throws Error for a scale that no
 * decimal can have.
 */
export function numberReadings({ schema }: FileMetaData): ReadonlyMap<string, Reading> {
  for (const element of schema)
    if (element.logical_type?.type === 'GEOGRAPHY') element.logical_type = { type: 'GEOMETRY' };
  const columns = new Map<string, Reading>();
  for (const element of topLevel(schema)) {
    const reading = readingOf(element);
    if (reading) columns.set(element.name, (value) => (value == null ? value : reading(value)));
  }
  return columns;
}

/** Columns that hold lists or objects, whose nulls hyparquet leaves undefined. */
export function nestedColumns({ schema }: FileMetaData): ReadonlySet<string> {
  const all = columnsOf(schema).filter((element) => !isPlain(element));
  return new Set(all.map(({ name }) => name));
}

/** The elements of columns that hold one value a row. */
function topLevel(schema: readonly SchemaElement[]): SchemaElement[] {
  return columnsOf(schema).filter(isPlain);
}

function isPlain({ num_children: children = 0, repetition_type }: SchemaElement): boolean {
  return children === 0 && repetition_type !== 'REPEATED';
}

/** The elements of the columns. A schema is a tree, each element before its children. */
function columnsOf([, ...rest]: readonly SchemaElement[]): SchemaElement[] {
  let within = 0;
  return rest.filter(({ num_children: children = 0 }) => {
    const isColumn = within === 0;
    within = Math.max(0, within - 1) + children;
    return isColumn;
  });
}

/** Undefined where values stay as they are. */
function readingOf(element: SchemaElement): Reading | undefined {
  const { logical_type: logical, converted_type: converted, type } = element;
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    const scale = element.scale ?? (logical?.type === 'DECIMAL' ? logical.scale : 0);
    if (!(scale >= 0 && scale <= MOST_PLACES)) throw new Error(`a decimal has ${scale} places`);
    delete element.converted_type;
    delete element.logical_type;
    if (type === 'BYTE_ARRAY') element.logical_type = { type: 'GEOGRAPHY' };
    return (value) => decimalOf(value, scale);
  }
  if (type === 'FLOAT') return (value) => shortest(value, Math.fround, 9);
  if (logical?.type === 'FLOAT16') return (value) => shortest(value, halfOf, 5);
  return undefined;
}

/** A number where JavaScript writes it so, as of JSON's files; else its digits. */
function decimalOf(value: unknown, scale: number): unknown {
  const unscaled = wholeOf(value);
  if (unscaled === undefined) return value;
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const point = digits.length - scale;
  const fraction = digits.slice(point).replace(/0+$/, '');
  const sign = unscaled < 0n ? '-' : '';
  const text = sign + digits.slice(0, point) + (fraction === '' ? '' : `.${fraction}`);
  return String(Number(text)) === text ? Number(text) : text;
}

/** Bytes are two's complement, the highest first. */
function wholeOf(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined;
  if (!(value instanceof Uint8Array)) return undefined;
  const hex = Buffer.from(value).toString('hex');
  return hex === '' ? 0n : BigInt.asIntN(8 * value.length, BigInt(`0x${hex}`));
}

/** The shortest decimal that `round` takes for the same value; `most` digits always do. A whole number is that number. */
function shortest(value: unknown, round: (value: number) => number, most: number): unknown {
  if (typeof value !== 'number' || !Number.isFinite(value) || Number.isSafeInteger(value)) return value;
  for (let digits = 1; digits < most; digits++) {
    const short = Number(value.toPrecision(digits));
    if (round(short) === value) return short;
  }
  return Number(value.toPrecision(most));
}

function halfOf(value: number): number {
  return toFloat32('F16', fromFloat32('F16', Float32Array.of(value)))[0]!;
}
