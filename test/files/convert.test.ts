/** Conversions: every half and bfloat16 there is, and the roundings between neighbours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bf16ToFloat32,
  f16ToFloat32,
  float32ToBf16,
  float32ToF16,
  fromFloat32,
  toFloat32,
} from '../../src/files/index.js';

const all = Uint16Array.from({ length: 65536 }, (_, i) => i);

describe('f16 and bf16', () => {
  for (const [name, widen, narrow, infinity] of [
    ['f16', f16ToFloat32, float32ToF16, 0x7c00],
    ['bf16', bf16ToFloat32, float32ToBf16, 0x7f80],
  ] as const) {
    it(`${name}: every value comes back, NaN as NaN`, () => {
      const wide = widen(all);
      const back = narrow(wide);
      for (let i = 0; i < 65536; i++) {
        if (Number.isNaN(wide[i])) assert.ok(Number.isNaN(widen(back.subarray(i, i + 1))[0]));
        else assert.equal(back[i], i);
      }
    });

    it(`${name}: halfway goes to even, just beside it to the nearer`, () => {
      const wide = widen(all);
      for (let i = 0; i + 1 < infinity; i++) {
        const middle = (wide[i]! + wide[i + 1]!) / 2;
        const bits = new Int32Array(Float32Array.of(middle).buffer)[0]!;
        const near = new Float32Array(Int32Array.of(bits - 1, bits, bits + 1).buffer);
        const even = i % 2 === 0 ? i : i + 1;
        assert.deepEqual([...narrow(near)], [i, even, i + 1], `between ${wide[i]} and ${wide[i + 1]}`);
        assert.deepEqual(
          [...narrow(near.map((x) => -x))],
          [i, even, i + 1].map((h) => h | 0x8000),
        );
      }
    });

    it(`${name}: what is too large becomes infinite`, () => {
      const huge = name === 'f16' ? 65520 : 3.3999e38;
      const large = name === 'f16' ? 65519.996 : 3.389e38;
      assert.deepEqual(
        [...narrow(Float32Array.of(huge, Infinity, -Infinity))],
        [infinity, infinity, infinity | 0x8000],
      );
      assert.equal(narrow(Float32Array.of(large))[0], infinity - 1);
    });
  }
});

describe('toFloat32 and fromFloat32', () => {
  const values = Float32Array.of(0, -1.5, 0.25, 1024);

  it('are inverse where the format holds the values, at any alignment', () => {
    for (const dtype of ['F64', 'F32', 'F16', 'BF16'] as const) {
      const bytes = fromFloat32(dtype, values);
      assert.deepEqual(toFloat32(dtype, bytes), values);
      const odd = new Uint8Array(bytes.byteLength + 1);
      odd.set(bytes, 1);
      assert.deepEqual(toFloat32(dtype, odd.subarray(1)), values);
    }
  });

  it('view aligned float32 without a copy', () => {
    assert.equal(toFloat32('F32', fromFloat32('F32', values)).buffer, values.buffer);
  });
});
