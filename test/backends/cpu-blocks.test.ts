/** GGUF's blocks by the CPU's kernels: the bits of src/quant/ggml, which are llama.cpp's, for any number of blocks and threads. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { BlockKernels, KernelBlock } from '../../src/backends/cpu/blocks.js';
import { createCpuBackend } from '../../src/backends/cpu/index.js';
import { blockKernels } from '../../src/backends/select.js';
import { TENSOR_TYPES } from '../../src/files/index.js';
import { fromTensorType, quantizedBy, toTensorType } from '../../src/quant/ggml/index.js';
import { weightLike } from '../support/weights.js';

const TYPES: readonly KernelBlock[] = ['Q4_K', 'Q5_K', 'Q6_K'];
let kernels: BlockKernels;
before(async () => {
  createCpuBackend({ threads: 3 });
  kernels = (await blockKernels({ name: 'cpu' }))!;
});

/** Weights of all sizes, and groups that are special: zeros, one value, no spread, all of one sign, next to nothing. */
const group = fc.oneof(
  fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 16, maxLength: 16 }),
  fc.array(fc.float({ min: -65504, max: 65504, noNaN: true }), { minLength: 16, maxLength: 16 }),
  fc.array(fc.float({ min: 0, max: Math.fround(0.1), noNaN: true }), { minLength: 16, maxLength: 16 }),
  fc.array(fc.constantFrom(0, -0, 1e-15, 1e-16, 1e-30, 1e-38, 1e-45, -1e-45, 0.5, -65504), {
    minLength: 16,
    maxLength: 16,
  }),
  fc.float({ min: -4, max: 4, noNaN: true }).map((x) => Array<number>(16).fill(x)),
);
const values = fc
  .array(group, { minLength: 16, maxLength: 16 * 20 })
  .map((groups) => Float32Array.from(groups.slice(0, groups.length - (groups.length % 16)).flat()));

describe("GGUF's blocks on the CPU", () => {
  for (const type of TYPES) {
    it(`${type}: the reference's bytes, of weights`, async () => {
      for (const blocks of [1, 2, 15, 16, 17, 700]) {
        const x = weightLike(blocks);
        assert.deepEqual(await quantizedBy(kernels, type, x, () => {}), toTensorType(type, x));
      }
    });

    it(`${type}: of anything that a weight may be`, async () => {
      await fc.assert(
        fc.asyncProperty(values, async (x) => {
          assert.deepEqual(await quantizedBy(kernels, type, x, () => {}), toTensorType(type, x));
        }),
        { numRuns: 200 },
      );
    });

    it(`${type}: values of any bytes`, () => {
      const { bytes } = TENSOR_TYPES[type];
      const blocks = fc
        .integer({ min: 1, max: 20 })
        .chain((n) => fc.uint8Array({ minLength: n * bytes, maxLength: n * bytes }));
      fc.assert(
        fc.property(blocks, (data) => {
          // As lists, of which a NaN equals another and zeros have signs.
          const [own, reference] = [fromTensorType(type, data, kernels), fromTensorType(type, data)];
          assert.deepEqual(Array.from(own), Array.from(reference));
        }),
        { numRuns: 50 },
      );
    });
  }

  it('sizes that do not fit are refused, and the reference has no kernels', async () => {
    await assert.rejects(kernels.quantize('Q4_K', new Float32Array(256), new Uint8Array(143)), RangeError);
    assert.throws(() => kernels.dequantize('Q6_K', new Uint8Array(211), new Float32Array(256)), RangeError);
    assert.throws(() => kernels.dequantize('Q6_K', new Uint8Array(210), new Float32Array(255)), RangeError);
    assert.equal(await blockKernels({ name: 'reference' }), undefined);
  });

  it('can be stopped between its parts', async () => {
    let turns = 0;
    const stop = new Error('stop');
    const work = quantizedBy(kernels, 'Q6_K', weightLike(3 * 8192), () => {
      if (++turns === 3) throw stop;
    });
    await assert.rejects(work, stop);
  });
});
