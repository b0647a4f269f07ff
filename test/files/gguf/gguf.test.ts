/** GGUF files: what is written is read again, and a damaged or hostile one is refused in one line. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  GgufFile,
  TENSOR_TYPES,
  writeGguf,
  type GgufTensor,
  type GgufValue,
  type TensorType,
} from '../../../src/files/index.js';
import { UserError } from '../../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'x.gguf');

const SCALARS = {
  uint8: fc.nat(255),
  int8: fc.integer({ min: -128, max: 127 }),
  uint16: fc.nat(65535),
  int16: fc.integer({ min: -32768, max: 32767 }),
  uint32: fc.nat(0xffffffff),
  int32: fc.integer(),
  float32: fc.float({ noNaN: true }),
  bool: fc.boolean(),
  string: fc.string({ unit: 'binary' }),
  uint64: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  int64: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  float64: fc.double({ noNaN: true }),
};

const value = fc.oneof(
  ...Object.entries(SCALARS).flatMap(([type, values]: [string, fc.Arbitrary<unknown>]) => [
    values.map((v) => ({ type, value: v })),
    fc.array(values, { maxLength: 5 }).map((v) => ({ type: 'array', of: type, value: v })),
  ]),
) as fc.Arbitrary<GgufValue>;

const key = fc.string({ minLength: 1, maxLength: 20 }).filter((k) => k !== 'general.alignment');
const metadata = fc.dictionary(key, value, { maxKeys: 8 }).map((o) => new Map(Object.entries(o)));

const tensor = fc
  .record({
    type: fc.constantFrom(...(Object.keys(TENSOR_TYPES) as TensorType[])),
    blocks: fc.integer({ min: 1, max: 3 }),
    outer: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
    fill: fc.nat(255),
  })
  .map(({ type, blocks, outer, fill }) => {
    const { block, bytes } = TENSOR_TYPES[type];
    const data = new Uint8Array(outer.reduce((a, b) => a * b, blocks) * bytes).fill(fill);
    return { type, shape: [...outer, blocks * block], data };
  });

test('what is written is read again', async () => {
  await fc.assert(
    fc.asyncProperty(
      metadata,
      fc.array(tensor, { maxLength: 4 }),
      fc.constantFrom(undefined, 1, 32, 64),
      async (keys, list, alignment) => {
        if (alignment) keys.set('general.alignment', { type: 'uint32', value: alignment });
        const tensors = list.map((t, i) => ({ ...t, name: `t${i}.weight`, data: () => t.data }));
        await writeGguf(path, keys, tensors);
        const file = GgufFile.open(path);
        assert.deepEqual(file.metadata, keys);
        assert.deepEqual(
          [...file.tensors.keys()],
          tensors.map(({ name }) => name),
        );
        for (const { name, type, shape, data } of tensors) {
          const info = file.tensors.get(name)!;
          assert.deepEqual([info.type, info.shape], [type, shape]);
          assert.equal(info.offset % (alignment ?? 32), 0);
          assert.deepEqual(file.read(name), data());
        }
        file.close();
      },
    ),
    { numRuns: 200 },
  );
});

const ONE: GgufTensor[] = [
  { name: 'a.weight', type: 'Q8_0', shape: [2, 32], data: () => new Uint8Array(68) },
  { name: 'b.weight', type: 'F32', shape: [3], data: () => new Uint8Array(12) },
];
const KEYS = new Map<string, GgufValue>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: ['a', 'b'] }],
]);

/** Changes a file's bytes in place. */
function put(change: () => number): undefined {
  change();
  return undefined;
}

/** A whole file with other bytes in the place of some. */
async function changed(change: (bytes: Buffer) => Buffer | undefined): Promise<void> {
  await writeGguf(path, KEYS, ONE);
  const bytes = readFileSync(path);
  writeFileSync(path, change(bytes) ?? bytes);
}

const refused: readonly (readonly [string, RegExp, (bytes: Buffer) => Buffer | undefined])[] = [
  ['another file', /does not begin as a GGUF file/, (b) => put(() => b.write('GGML'))],
  ['an empty file', /does not begin as a GGUF file/, () => Buffer.alloc(0)],
  ['version 1', /version 1; versions 2 and 3/, (b) => put(() => b.writeUInt32LE(1, 4))],
  ['a big-endian one', /big-endian/, (b) => put(() => b.writeUInt32BE(3, 4))],
  ['2^40 tensors', /claims 1099511627776 tensors/, (b) => put(() => b.writeBigUInt64LE(1n << 40n, 8))],
  ['2^64 - 1 keys', /claims \d+ keys/, (b) => put(() => b.writeBigUInt64LE((1n << 64n) - 1n, 16))],
  ['a key too long', /bytes of a key/, (b) => put(() => b.writeBigUInt64LE(1n << 40n, 24))],
  ['a value of no type', /has a value of type 77/, (b) => put(() => b.writeUInt32LE(77, 52))],
  ['a cut one', /ends within its header/, (b) => b.subarray(0, 150)],
  [
    'cut data',
    /tensor "b.weight" ends at byte \d+, the file at \d+; it is truncated/,
    (b) => b.subarray(0, -32),
  ],
  [
    'a wrong place',
    /begins at 64, where 96 is/,
    (b) => put(() => b.writeBigUInt64LE(64n, b.indexOf('b.weight') + 24)),
  ],
  [
    'an unknown type',
    /type 999 of ggml/,
    (b) => put(() => b.writeUInt32LE(999, b.indexOf('a.weight') + 8 + 4 + 16)),
  ],
  [
    'too many dimensions',
    /has 9 dimensions/,
    (b) => put(() => b.writeUInt32LE(9, b.indexOf('a.weight') + 8)),
  ],
  [
    'half a block',
    /a shape that Q8_0 does not allow: \[2, 33\]/,
    (b) => put(() => b.writeBigUInt64LE(33n, b.indexOf('a.weight') + 12)),
  ],
  [
    'a huge shape',
    /a shape that Q8_0 does not allow/,
    (b) => put(() => b.writeBigUInt64LE(1n << 62n, b.indexOf('a.weight') + 20)),
  ],
  ['two of a name', /tensor "a.weight" occurs twice/, (b) => put(() => b.write('a', b.indexOf('b.weight')))],
];

for (const [what, message, change] of refused)
  test(`${what} is refused in one line`, async () => {
    await changed(change);
    assert.throws(
      () => GgufFile.open(path),
      (error) => error instanceof UserError && message.test(error.message) && !error.message.includes('\n'),
    );
  });

test('a wrong size of data, two of a name, and an abort leave no file', async () => {
  rmSync(path);
  const [one] = ONE;
  await assert.rejects(
    writeGguf(path, KEYS, [{ ...one!, data: () => new Uint8Array(3) }]),
    /3 bytes where 68 belong/,
  );
  await assert.rejects(writeGguf(path, KEYS, [one!, one!]), /two tensors are named/);
  const stop = new AbortController();
  const aborts = { ...one!, data: () => (stop.abort(), new Uint8Array(68)) };
  await assert.rejects(writeGguf(path, KEYS, [aborts], { signal: stop.signal }), { name: 'AbortError' });
  assert.equal(existsSync(path), false);
});
