/** The block formats of GGUF against llama.cpp's own library, byte for byte (scripts/gguf-golden.ts). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { TENSOR_TYPES, type TensorType } from '../../../src/files/index.js';
import { fromTensorType, toTensorType } from '../../../src/quant/ggml/index.js';
import { weightLike } from '../../support/weights.js';

interface Golden {
  readonly blocks: number;
  readonly types: Readonly<Record<string, { bytes: string; values: string; first: string }>>;
}
const golden = JSON.parse(
  readFileSync(new URL('../../golden/gguf/blocks.json', import.meta.url), 'utf8'),
) as Golden;

const hash = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);

for (const [type, expected] of Object.entries(golden.types) as [TensorType, Golden['types'][string]][])
  test(`${type}: bytes and values are llama.cpp's`, () => {
    const values = weightLike(golden.blocks);
    const bytes = toTensorType(type, values);
    const first = Buffer.from(expected.first, 'base64');
    assert.deepEqual(Buffer.from(bytes.subarray(0, first.length)), first);
    assert.equal(hash(bytes), expected.bytes);
    assert.equal(hash(bytesOf(fromTensorType(type, bytes))), expected.values);
  });

test('every type of a tensor has a golden one, but those whose values stand alone', () => {
  const blocks = Object.entries(TENSOR_TYPES).filter(([, { block }]) => block > 1);
  assert.deepEqual(Object.keys(golden.types).sort(), blocks.map(([type]) => type).sort());
});

/** The largest error of a value, as a share of the largest in its block: half a step of its levels, and the scales' own rounding. */
const ERRORS: Readonly<Record<TensorType, number>> = {
  F32: 0,
  F16: 2 ** -11,
  BF16: 2 ** -8,
  Q8_0: 0.005,
  Q4_0: 0.13,
  Q5_0: 0.07,
  Q5_1: 0.04,
  Q4_K: 0.16,
  Q5_K: 0.08,
  Q6_K: 0.05,
};

test('what comes back is near what was there', () => {
  const value = fc.float({ min: -4, max: 4, noNaN: true });
  fc.assert(
    fc.property(
      fc.float32Array({ minLength: 256, maxLength: 256, min: -4, max: 4, noNaN: true }),
      value,
      (x, v) => {
        x[7] = v;
        for (const type of Object.keys(TENSOR_TYPES) as TensorType[]) {
          const back = fromTensorType(type, toTensorType(type, x));
          const { block } = TENSOR_TYPES[type];
          for (let at = 0; at < x.length; at += block) {
            const most = Math.max(...x.subarray(at, at + block).map(Math.abs));
            for (let i = at; i < at + block; i++)
              assert.ok(
                Math.abs(back[i]! - x[i]!) <= ERRORS[type] * most + 1e-5,
                `${type}: ${x[i]} became ${back[i]}`,
              );
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
