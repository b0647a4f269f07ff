/**
 * Damage to files, by their structure: bytes of any; values, keys and nesting of JSON, in a safetensors header and in each line of JSON
 * Lines, too; lines, numbers and telling pieces of texts.
 */

import { readTfRecords, tfRecord } from '../../src/experiments/trackers/tfevents.js';
import { isDeep } from '../../src/util/json.js';
import type { Random } from './random.js';

export type Kind = 'bytes' | 'safetensors' | 'json' | 'jsonl' | 'text' | 'tfevents';

/** @param others files to splice from @param pieces of the language that a text is written in */
export function mutate(
  random: Random,
  file: Buffer,
  kind: Kind,
  others: readonly Buffer[],
  pieces: readonly string[] = [],
): Buffer {
  let mutated = file;
  for (let times = 1 + random.below(3); times > 0; times--) {
    // Damage to the structure finds more than noise, which most readers refuse at its first byte.
    const noise = kind === 'bytes' || random.oneIn(4);
    mutated = noise ? mutateBytes(random, mutated, others) : STRUCTURED[kind](random, mutated, pieces);
  }
  return mutated;
}

const STRUCTURED: Readonly<
  Record<Exclude<Kind, 'bytes'>, (random: Random, file: Buffer, pieces: readonly string[]) => Buffer>
> = {
  json: (random, file) => mutateJson(random, file) ?? mutateText(random, file, JSON_PIECES),
  jsonl: (random, file) => {
    const lines = file.toString('utf8').split('\n');
    const at = random.below(lines.length);
    const line = mutateJson(random, Buffer.from(lines[at]!));
    if (line === undefined || random.oneIn(8)) return mutateText(random, file, JSON_PIECES);
    lines[at] = line.toString('utf8').replaceAll('\n', ' ');
    return Buffer.from(lines.join('\n'));
  },
  safetensors: (random, file) => {
    if (file.length < 8) return file;
    const length = Number(file.readBigUInt64LE(0));
    if (length > file.length - 8) return file;
    const header = mutateJson(random, file.subarray(8, 8 + length));
    if (header === undefined) return file;
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(random.oneIn(20) ? length : header.length));
    return Buffer.concat([prefix, header, file.subarray(8 + length)]);
  },
  text: (random, file, pieces) => mutateText(random, file, pieces),
  // With true checksums, or what is within is never looked at.
  tfevents: (random, file) => {
    const { contents } = readTfRecords(file);
    if (contents.length === 0) return file;
    const at = random.below(contents.length);
    contents[at] = mutateBytes(random, contents[at]!, contents);
    return Buffer.concat(contents.map(tfRecord));
  },
};

const EXTREMES = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

function mutateBytes(random: Random, file: Buffer, others: readonly Buffer[]): Buffer {
  const copy = Buffer.from(file);
  const at = random.below(file.length + 1);
  const insert = (bytes: Uint8Array): Buffer =>
    Buffer.concat([file.subarray(0, at), bytes, file.subarray(at)]);
  switch (random.below(12)) {
    case 0:
      if (at < copy.length) copy[at]! ^= 1 << random.below(8);
      return copy;
    case 1:
      if (at < copy.length) copy[at] = random.below(256);
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return copy.subarray(at);
    case 4:
      return insert(Buffer.from(Array.from({ length: random.length(64) }, () => random.below(256))));
    case 5:
      return Buffer.concat([file.subarray(0, at), file.subarray(at + random.length(file.length))]);
    case 6: {
      const from = random.below(file.length);
      return insert(file.subarray(from, from + random.length(4096)));
    }
    case 7: {
      const other = random.pick([file, ...others]);
      const from = random.below(other.length);
      return Buffer.concat([file.subarray(0, at), other.subarray(from)]);
    }
    case 8: {
      const size = random.pick([1, 2, 4, 8]);
      if (at + size > copy.length) return copy;
      const value = random.pick(EXTREMES) & (2n ** BigInt(8 * size) - 1n);
      for (let i = 0; i < size; i++) copy[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
      return copy;
    }
    case 9:
      return copy.fill(
        random.pick([0, 0xff, 0x20, 0x0a]),
        at,
        Math.min(copy.length, at + random.length(256)),
      );
    case 10:
      return Buffer.concat([
        Buffer.from(random.pick([[0xef, 0xbb, 0xbf], [0xff, 0xfe], [0xfe, 0xff], [0x1f, 0x8b], [0]])),
        file,
      ]);
    default:
      return Buffer.from(random.pick(['', '\n', 'null', '{}', '[]', 'x', '0', '""', '\0'.repeat(100)]));
  }
}

const JSON_PIECES = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\u0000',
  '\\ud800',
  'null',
  '1e999',
  '-',
  '\n',
  '{"a":1,"a":2}',
];

/** Names that an object has without being asked, paths, and other texts that mean something to someone. */
const STRINGS = [
  '',
  ' ',
  '\0',
  '\n',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '../../../etc/passwd',
  '/dev/zero',
  '/dev/stdin',
  'a/b',
  '.',
  '..',
  '\ud800',
  '\u{1f600}',
  '\u001b[2J',
  'NaN',
  'Infinity',
  '1e999',
  '0x10',
  '<s>',
  '(a+)+$',
  '[',
  '(?i)x',
  '.*',
  '${x}',
  '%s',
  '{{ x }}',
  'x'.repeat(5000),
  'default',
  'llama3',
  'linear',
  'dynamic',
  'F64',
  'I64',
  'BOOL',
  'yarn',
];

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  0.5,
  -0.5,
  1e-300,
  1e308,
  -1e308,
  255,
  256,
  65535,
  65536,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 60,
  1.5,
];

/** What JSON.stringify would not write, put into its output afterwards. */
const RAW: readonly (readonly [mark: string, text: string])[] = [
  ['@raw-huge@', '1e999'],
  ['@raw-digits@', '9'.repeat(400)],
  ['@raw-lists@', '['.repeat(100_000) + ']'.repeat(100_000)],
  ['@raw-objects@', '{"a":'.repeat(300) + '1' + '}'.repeat(300)],
  ['@raw-open@', '['.repeat(100_000)],
  ['@raw-twice@', '{"r":1,"r":"2","__proto__":{"r":3}}'],
];

/** A step into an object or a list. */
type Key = string | number;
type Container = Record<Key, unknown>;

/** Undefined where the file is not JSON. */
function mutateJson(random: Random, file: Buffer): Buffer | undefined {
  const json = file.toString('utf8');
  // What was nested before cannot be walked.
  if (isDeep(json)) return undefined;
  let root: unknown;
  try {
    root = JSON.parse(json);
  } catch {
    return undefined;
  }
  const holder: Container = { root };
  const [parent, key] = place(random, holder);
  const value = parent[key];
  switch (random.below(8)) {
    case 0:
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else Reflect.deleteProperty(parent, key);
      break;
    case 1: {
      const name = random.pick(STRINGS);
      if (Array.isArray(parent)) parent.splice(Number(key), 0, value);
      else
        Object.defineProperty(parent, name, { value, enumerable: true, configurable: true, writable: true });
      break;
    }
    case 2: {
      const [other, otherKey] = place(random, holder);
      const copy = structuredClone(other[otherKey]);
      if (size(copy) < 20_000) parent[key] = copy;
      break;
    }
    case 3:
      parent[key] = random.oneIn(2) ? [value] : { [random.pick(STRINGS)]: value };
      break;
    case 4:
      parent[key] = typeof value === 'number' ? nearby(random, value) : otherValue(random);
      break;
    case 5:
      parent[key] = typeof value === 'string' ? changed(random, value) : otherValue(random);
      break;
    default:
      parent[key] = otherValue(random);
  }
  let text = (JSON.stringify(holder['root'] ?? null) as string | undefined) ?? 'null';
  for (const [mark, raw] of RAW) text = text.replace(`"${mark}"`, () => raw);
  return Buffer.from(text);
}

/** Any place of a value, the deeper ones as likely as the others. */
function place(random: Random, holder: Container): [Container, Key] {
  let parent = holder;
  let key: Key = 'root';
  for (;;) {
    const value: unknown = parent[key];
    if (typeof value !== 'object' || value === null || random.oneIn(6)) return [parent, key];
    const keys: string[] = Object.keys(value);
    if (keys.length === 0) return [parent, key];
    parent = value as Container;
    key = random.pick(keys);
  }
}

function size(value: unknown): number {
  return value === undefined ? 0 : JSON.stringify(value).length;
}

function otherValue(random: Random): unknown {
  switch (random.below(7)) {
    case 0:
      return null;
    case 1:
      return random.oneIn(2);
    case 2:
      return random.pick(NUMBERS);
    case 3:
      return random.pick(STRINGS);
    case 4:
      return [];
    case 5:
      return random.pick<unknown>([
        {},
        [null],
        [[]],
        { a: {} },
        [1, 2, 3],
        ['a'],
        { content: 3 },
        { toString: 1 },
      ]);
    default:
      return random.pick(RAW)[0];
  }
}

function nearby(random: Random, value: number): number {
  return random.pick([
    value + 1,
    value - 1,
    -value,
    value * 2,
    value / 2,
    value + 0.5,
    value * 2 ** 32,
    random.pick(NUMBERS),
  ]);
}

function changed(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  return random.pick([
    text.slice(0, at),
    text.slice(at),
    text.slice(0, at) + random.pick(STRINGS) + text.slice(at),
    text.toUpperCase(),
    text + text,
    random.pick(STRINGS),
  ]);
}

function mutateText(random: Random, file: Buffer, pieces: readonly string[]): Buffer {
  const text = file.toString('utf8');
  const lines = text.split('\n');
  const at = random.below(lines.length);
  const piece = pieces.length > 0 ? random.pick(pieces) : random.pick(STRINGS);
  switch (random.below(8)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(at, 0, lines[random.below(lines.length)]!);
      break;
    case 2:
      lines.splice(at, 0, piece);
      break;
    case 3:
      lines[at] = `${' '.repeat(random.length(40))}${lines[at]!.trimStart()}`;
      break;
    case 4:
      return Buffer.from(
        text.replace(/\d+(\.\d+)?/g, (number) =>
          random.oneIn(6) ? String(random.pick([...NUMBERS, '1e999', '0x7f', '.nan', '-.inf'])) : number,
        ),
      );
    case 5:
      return Buffer.from(text.replaceAll('\n', random.pick(['\r\n', '\r', '\n\n', ' ', '\u2028'])));
    default: {
      const line = lines[at]!;
      const column = random.below(line.length + 1);
      lines[at] =
        line.slice(0, column) + piece + line.slice(column + (random.oneIn(2) ? 0 : random.below(9)));
    }
  }
  return Buffer.from(lines.join('\n'));
}
