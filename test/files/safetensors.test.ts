/** Safetensors: what is written is read back, laid out as the Python library does it; what is malformed is refused by name. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import {
  DTYPE_BYTES,
  SafetensorsFile,
  elementCount,
  openCheckpoint,
  writeCheckpoint,
  writeSafetensors,
  type Dtype,
} from '../../src/files/index.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'x.safetensors');

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** A file with this header, written by hand. */
function raw(header: unknown, data = 0, length?: number): void {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(length ?? json.byteLength));
  writeFileSync(path, Buffer.concat([prefix, json, Buffer.alloc(data)]));
}

function refuses(what: RegExp): void {
  assert.throws(
    () => SafetensorsFile.open(path).close(),
    (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, what);
      assert.ok(error.message.includes(path) && !error.message.includes('\n'));
      return true;
    },
  );
}

describe('writeSafetensors and SafetensorsFile', () => {
  it('lay a file out as the Python library does', async () => {
    await writeSafetensors(
      path,
      [
        { name: 'b', dtype: 'F32', shape: [1], data: floats(1) },
        { name: 'z', dtype: 'I64', shape: [], data: new Uint8Array(8) },
        { name: 'a', dtype: 'F32', shape: [0, 3], data: () => new Uint8Array() },
        { name: 'h', dtype: 'F16', shape: [1], data: bytes(0, 60) },
        { name: 'g', dtype: 'BF16', shape: [1], data: bytes(128, 63) },
        { name: 'q', dtype: 'U8', shape: [3], data: bytes(1, 2, 3) },
      ],
      { format: 'pt' },
    );
    const file = readFileSync(path);
    const length = Number(file.readBigUInt64LE());
    assert.equal(length % 8, 0);
    const json = file.toString('utf8', 8, 8 + length);
    assert.equal(
      json.trimEnd(),
      '{"__metadata__":{"format":"pt"},"z":{"dtype":"I64","shape":[],"data_offsets":[0,8]},' +
        '"a":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},' +
        '"g":{"dtype":"BF16","shape":[1],"data_offsets":[12,14]},"h":{"dtype":"F16","shape":[1],"data_offsets":[14,16]},' +
        '"q":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}',
    );
    const reader = SafetensorsFile.open(path);
    assert.deepEqual(reader.names, ['z', 'a', 'b', 'g', 'h', 'q']);
    assert.equal(reader.metadata['format'], 'pt');
    assert.deepEqual(reader.readFloat32('g'), Float32Array.of(1));
    assert.deepEqual(reader.readFloat32('h'), Float32Array.of(1));
    assert.throws(() => reader.readFloat32('q'), /'q' has type U8/);
    assert.throws(() => reader.read('w'), /no tensor named 'w'/);
    reader.close();
  });

  it('give back any tensors and metadata', async () => {
    const tensor = fc
      .record({
        name: fc.string({ unit: 'binary', maxLength: 8 }).filter((n) => n !== '__metadata__'),
        dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
        shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
      })
      .chain((spec) => {
        const size = elementCount(spec.shape)! * DTYPE_BYTES[spec.dtype];
        return fc.uint8Array({ minLength: size, maxLength: size }).map((data) => ({ ...spec, data }));
      });
    const text = fc.string({ unit: 'grapheme', maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 6 }),
        fc.dictionary(text, text, { maxKeys: 3 }),
        async (tensors, metadata) => {
          await writeSafetensors(path, tensors, metadata);
          const file = SafetensorsFile.open(path);
          assert.deepEqual({ ...file.metadata }, { ...metadata });
          assert.equal(file.names.length, tensors.length);
          for (const { name, ...rest } of tensors) assert.deepEqual(file.read(name), rest);
          file.close();
        },
      ),
      { numRuns: 300 },
    );
  });

  it('read into given memory, whatever its alignment, and refuse too little of it', async () => {
    await writeSafetensors(path, [{ name: 'a', dtype: 'F32', shape: [2], data: floats(1, 2) }]);
    const file = SafetensorsFile.open(path);
    const memory = new Uint8Array(20);
    file.read('a', memory.subarray(3));
    assert.deepEqual(memory.slice(3, 11), floats(1, 2));
    assert.throws(() => file.read('a', new Uint8Array(7)), RangeError);
    truncateSync(path, 66);
    assert.throws(() => file.read('a'), UserError);
    file.close();
  });

  it('leave the old file and no other where writing fails', async () => {
    writeFileSync(path, 'old');
    const before = readdirSync(folder);
    const wrong = [
      { name: 'a', dtype: 'U8' as const, shape: [1], data: bytes(1) },
      { name: 'b', dtype: 'U8' as const, shape: [1], data: (): Uint8Array => bytes(1, 2) },
    ];
    await assert.rejects(writeSafetensors(path, wrong), RangeError);
    await assert.rejects(writeSafetensors(path, [wrong[0]!, wrong[0]!]), RangeError);
    assert.equal(readFileSync(path, 'utf8'), 'old');
    assert.deepEqual(readdirSync(folder), before);
  });

  it('refuse every header that the format forbids', () => {
    const u8 = (shape: unknown, data_offsets: unknown, dtype: unknown = 'U8'): unknown => ({
      dtype,
      shape,
      data_offsets,
    });
    writeFileSync(path, 'short');
    refuses(/too few/);
    raw('{}', 0, 2 ** 50);
    refuses(/claims a header of 1125899906842624 bytes/);
    raw('{}', 0, 3);
    refuses(/claims a header of 3 bytes/);
    raw('[]');
    refuses(/not an object/);
    raw(' {}');
    refuses(/not an object/);
    raw('{"a":');
    refuses(/not valid JSON/);
    raw(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7d]).toString('latin1'));
    refuses(/not valid JSON/);
    raw(`{"a":${'['.repeat(100000)}${']'.repeat(100000)}}`);
    refuses(/flat entries/);
    raw({ a: 7 });
    refuses(/"a" is not an object/);
    raw({ a: u8([1], [0, 1], 'F8_E4M3') }, 1);
    refuses(/"a" has dtype F8_E4M3, as quantized weights do/);
    raw({ a: u8([1], [0, 1], 'constructor') }, 1);
    refuses(/unknown dtype/);
    for (const shape of [[-1], [1.5], ['1'], [1e300], {}, 1, null]) {
      raw({ a: u8(shape, [0, 1]) }, 1);
      refuses(/a shape that is not a list of sizes/);
    }
    for (const offsets of [[0], [-1, 0], [0, 1, 2], 'x', [0, 1e300], [1, 0], [0, 2], [0, 2 ** 52]]) {
      raw({ a: u8([1], offsets) }, 1);
      refuses(/bad data_offsets|does not fill/);
    }
    raw({ a: u8([2 ** 40, 2 ** 40], [0, 1]) }, 1);
    refuses(/does not fill/);
    raw({ a: u8([2 ** 40, 2 ** 40, 0], [0, 0]) });
    refuses(/does not fill/);
    raw({ a: u8([2], [0, 2]), b: u8([2], [1, 3]) }, 3);
    refuses(/"b" overlaps another or follows a gap/);
    raw({ a: u8([1], [0, 1]), b: u8([1], [2, 3]) }, 3);
    refuses(/"b" overlaps another or follows a gap/);
    raw({ a: u8([1], [0, 1]) }, 2);
    refuses(/truncated or damaged/);
    raw({ a: u8([2], [0, 2]) }, 1);
    refuses(/truncated or damaged/);
    raw({ __metadata__: { a: 1 } });
    refuses(/__metadata__ "a" is not a string/);
    const entry = JSON.stringify(u8([0], [0, 0]));
    raw(`{"a":${entry},"a":${entry}}`);
    refuses(/occurs twice/);
    raw(`{"a":${entry},"\\u0061":${entry}}`);
    refuses(/occurs twice/);
    raw('{"a":{"dtype":"F32","dtype":"U8","shape":[0],"data_offsets":[0,0]}}');
    refuses(/occurs twice/);
    raw('{"__metadata__":{"a":"1","a":"2"}}');
    refuses(/occurs twice/);
    rmSync(path);
    refuses(/there is no such file/);
  });

  it('take a header of any length for what it is, and no other format', () => {
    const json = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
    // 640 is \x80\x02 in the file, as pickles begin.
    for (let length = 64; length < 1200; length++) {
      raw(json.padEnd(length), 1);
      const file = SafetensorsFile.open(path);
      assert.deepEqual(file.names, ['a']);
      file.close();
    }
    for (const [start, what] of [
      ['GGUF\x03\0\0\0', /GGUF/],
      ['PK\x03\x04\0\0\x08\x08', /pickle/],
      ['\x80\x02\x8a\x0al\xfc\x9c\x46', /pickle/],
      ['version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', /Git LFS pointer/],
    ] as const) {
      writeFileSync(path, Buffer.from(start, 'latin1'));
      refuses(what);
    }
  });

  it('take __proto__ for the name that it is', () => {
    raw(
      '{"__metadata__":{"__proto__":"x:{"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    );
    const file = SafetensorsFile.open(path);
    assert.deepEqual(file.names, ['__proto__']);
    assert.equal(file.metadata['__proto__'], 'x:{');
    assert.deepEqual(file.read('__proto__').data, bytes(0));
    file.close();
  });
});

describe('checkpoints', () => {
  const home = join(folder, 'model');
  const tensors = [1, 2, 3, 4, 5].map((i) => ({
    name: `layer.${i}`,
    dtype: 'F32' as const,
    shape: [i],
    data: () => Promise.resolve(floats(...Array.from({ length: i }, () => i))),
  }));
  const check = (): void => {
    const checkpoint = openCheckpoint(home);
    assert.equal(checkpoint.names.length, 5);
    for (const i of [1, 2, 3, 4, 5]) {
      assert.deepEqual(checkpoint.readFloat32(`layer.${i}`), new Float32Array(i).fill(i));
      assert.deepEqual(checkpoint.info(`layer.${i}`).shape, [i]);
    }
    assert.ok(!checkpoint.has('layer.6'));
    assert.throws(() => checkpoint.read('layer.6'), /no tensor named 'layer.6'/);
    checkpoint.close();
  };

  it('are one file, or shards with an index in the names transformers gives them', async () => {
    await writeCheckpoint(home, tensors);
    assert.deepEqual(readdirSync(home), ['model.safetensors']);
    check();

    await writeCheckpoint(home, tensors, { maxShardSize: '0.02KB' });
    assert.deepEqual(readdirSync(home).sort(), [
      'model-00001-of-00004.safetensors',
      'model-00002-of-00004.safetensors',
      'model-00003-of-00004.safetensors',
      'model-00004-of-00004.safetensors',
      'model.safetensors.index.json',
    ]);
    const index = JSON.parse(readFileSync(join(home, 'model.safetensors.index.json'), 'utf8')) as unknown;
    assert.deepEqual(index, {
      metadata: { total_size: 60 },
      weight_map: {
        'layer.1': 'model-00001-of-00004.safetensors',
        'layer.2': 'model-00001-of-00004.safetensors',
        'layer.3': 'model-00002-of-00004.safetensors',
        'layer.4': 'model-00003-of-00004.safetensors',
        'layer.5': 'model-00004-of-00004.safetensors',
      },
    });
    check();

    await writeCheckpoint(home, tensors, { maxShardSize: 1e6 });
    assert.deepEqual(readdirSync(home), ['model.safetensors'], 'stale shards are gone');
    check();
    await assert.rejects(writeCheckpoint(home, tensors, { maxShardSize: 'much' }), /is not a size/);
  });

  it('refuse missing weights, shards and tensors, and an index that leads elsewhere', async () => {
    const index = join(home, 'model.safetensors.index.json');
    const fails = (what: RegExp): void => {
      assert.throws(
        () => openCheckpoint(home),
        (error) => error instanceof UserError && what.test(error.message),
      );
    };
    await writeCheckpoint(home, tensors, { maxShardSize: 20 });
    const whole = readFileSync(index, 'utf8');
    writeFileSync(index, whole.replace('layer.5', 'layer.9'));
    fails(/tensor 'layer.9' is missing/);
    for (const shard of ['../x.safetensors', '/etc/passwd', 'a/b.safetensors']) {
      writeFileSync(index, JSON.stringify({ weight_map: { a: shard } }));
      fails(/where a shard's file name belongs/);
    }
    writeFileSync(index, '{');
    fails(/not valid JSON/);
    writeFileSync(index, '{"weight_map":[]}');
    fails(/weight_map is missing/);
    writeFileSync(index, whole);
    rmSync(join(home, 'model-00003-of-00004.safetensors'));
    fails(/shard model-00003-of-00004.safetensors is missing/);
    rmSync(home, { recursive: true });
    fails(/neither model.safetensors nor/);
  });
});
