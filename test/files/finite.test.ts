import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFinite, firstNotFinite } from '../../src/files/finite.js';
import { fromFloat32 } from '../../src/files/convert.js';
import { UserError } from '../../src/util/errors.js';

const LENGTHS = [0, 1, 2, 3, 5, 4096, 8191, 8192, 20_001];

test('the first value that is not finite is found in every type, at any place and alignment', () => {
  for (const dtype of ['F32', 'BF16', 'F16'] as const)
    for (const length of LENGTHS) {
      // The largest numbers of both signs, subnormal ones, zeros.
      const values = Float32Array.from({ length }, (_, i) => [65504, -65504, 6e-8, -0, 0, 1 / 3][i % 6]!);
      assert.equal(firstNotFinite(dtype, fromFloat32(dtype, values)), -1, `${dtype} ${length}`);
      for (const at of [0, 1, length >> 1, length - 2, length - 1].filter((i) => i >= 0 && i < length))
        for (const bad of [NaN, Infinity, -Infinity]) {
          const bytes = fromFloat32(dtype, values.with(at, bad).with(length - 1, bad));
          const unaligned = new Uint8Array(bytes.length + 1);
          unaligned.set(bytes, 1);
          assert.equal(firstNotFinite(dtype, bytes), at, `${dtype} ${length} ${at} ${bad}`);
          assert.equal(firstNotFinite(dtype, unaligned.subarray(1)), at);
        }
    }
});

test('the fault names file, tensor and place', () => {
  const data = fromFloat32('F32', Float32Array.of(1, 2, 3, 4, NaN, 6));
  assert.throws(
    () => checkFinite('model.safetensors', 'w', 'F32', [2, 3], data),
    (error) =>
      error instanceof UserError && /model\.safetensors: tensor 'w' .* at \[1, 1\]/.test(error.message),
  );
  checkFinite('model.safetensors', 'w', 'U8', [24], data);
});
