/** 12,000 damaged and hostile safetensors files: each is read or refused in one line, quickly, in memory bounded by its size. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { SafetensorsFile, writeSafetensors } from '../../src/files/index.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'x.safetensors');

let state = 20240517;
/** A whole number below n, from a fixed sequence. */
function below(n: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}
const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;

async function original(): Promise<Buffer> {
  const tensor = (name: string, dtype: 'F32' | 'BF16' | 'U8' | 'I64', shape: number[], size: number) => ({
    name,
    dtype,
    shape,
    data: new Uint8Array(size).map(() => below(256)),
  });
  await writeSafetensors(
    path,
    [
      tensor('model.embed_tokens.weight', 'F32', [4, 4], 64),
      tensor('model.norm.weight', 'BF16', [4], 8),
      tensor('packed', 'U8', [5, 1], 5),
      tensor('step', 'I64', [], 8),
    ],
    { format: 'pt' },
  );
  return readFileSync(path);
}

const HOSTILE = [
  '-1',
  '0',
  '1',
  '1e308',
  '-0',
  '9007199254740993',
  '18446744073709551615',
  '1.5',
  'null',
  'true',
  '"x"',
  '[]',
  '{}',
  '[0,9007199254740991]',
  '[-8,0]',
  '[72,8]',
  '[0,64]',
  '[8,72]',
  '[1e9,1e9,1e9,1e9]',
  '[4,4,4,4]',
  '[0,0,0]',
  'NaN',
  '"F32"',
  '"F64"',
  '"F8_E5M2"',
  '"constructor"',
  '"__proto__"',
  '"toString"',
  `${'['.repeat(500)}1${']'.repeat(500)}`,
  '{"__proto__":{"__proto__":1}}',
  '"\\ud800"',
  '"\\u0000"',
  ':',
  ',',
  '"',
  '\\',
];
const KEYS = [
  '__proto__',
  'constructor',
  '__metadata__',
  'dtype',
  'shape',
  'data_offsets',
  '',
  'packed',
  'hasOwnProperty',
];

/** Replaces one value or key of the header's JSON, and writes the true or a false length before it. */
function editHeader(file: Buffer): Buffer {
  const length = Number(file.readBigUInt64LE());
  let json = file.toString('utf8', 8, 8 + length);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const places = [
      ...json.matchAll(pick([/\[[^[\]]*\]/g, /\d+/g, /"[^"]*"(?=[,}])/g, /"[^"]*"(?=:)/g, /[{}[\],:"]/g])),
    ];
    if (places.length === 0) break;
    const place = pick(places);
    const isKey = json[place.index + place[0].length] === ':';
    const value = isKey && below(4) > 0 ? JSON.stringify(pick(KEYS)) : pick(HOSTILE);
    json = json.slice(0, place.index) + value + json.slice(place.index + place[0].length);
  }
  const header = Buffer.from(json);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(
    below(10) > 0 ? BigInt(header.byteLength) : BigInt(pick([0, 1, 7, 8, 2 ** 31, 2 ** 40, 1e8])),
  );
  return Buffer.concat([prefix, header, file.subarray(8 + length)]);
}

const MUTATIONS: readonly ((file: Buffer) => Buffer)[] = [
  function flipBits(file) {
    const copy = Buffer.from(file);
    // Mostly in the header, where they matter.
    for (let n = 1 + below(4); n > 0; n--) {
      const at = below(below(4) > 0 ? 340 : copy.byteLength);
      copy[at] = copy[at]! ^ (1 << below(8));
    }
    return copy;
  },
  function truncate(file) {
    return file.subarray(0, below(file.byteLength));
  },
  function append(file) {
    return Buffer.concat([file, Buffer.alloc(1 + below(64))]);
  },
  function splice(file) {
    const at = below(file.byteLength);
    const from = below(file.byteLength);
    return Buffer.concat([
      file.subarray(0, at),
      file.subarray(from, from + below(60)),
      file.subarray(at + below(60)),
    ]);
  },
  editHeader,
  editHeader,
];

it('reads or refuses 12,000 mutated files', async () => {
  const file = await original();
  let refused = 0;
  const memory = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 12_000; i++) {
    const mutated = pick(MUTATIONS)(file);
    writeFileSync(path, mutated);
    try {
      const reader = SafetensorsFile.open(path);
      try {
        let total = 0;
        for (const name of reader.names) {
          const { data } = reader.read(name);
          assert.equal(data.byteLength, reader.info(name).byteLength);
          total += data.byteLength;
        }
        assert.ok(total <= mutated.byteLength, 'tensors overlap');
      } finally {
        reader.close();
      }
    } catch (error) {
      if (!(error instanceof UserError))
        throw new Error(`file ${i} (${mutated.toString('hex')})`, { cause: error });
      assert.ok(!error.message.includes('\n') && error.message.length < 500, error.message);
      refused++;
    }
  }
  assert.ok(refused > 8_000, `only ${refused} of the mutations did harm`);
  assert.ok(refused < 12_000, 'nothing was read: the mutations are too coarse to test the reader');
  assert.ok(process.memoryUsage().arrayBuffers - memory < 64e6);
});

it('refuses megabytes of brackets without parsing them', () => {
  const header = Buffer.alloc(20_000_000, '[');
  header.write('{"a":');
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.byteLength));
  writeFileSync(path, Buffer.concat([prefix, header]));
  const { heapUsed } = process.memoryUsage();
  assert.throws(() => SafetensorsFile.open(path), UserError);
  // Parsed, each bracket would be an array.
  assert.ok(process.memoryUsage().heapUsed - heapUsed < 50e6);
});
