/**
 * Makes test/golden/gguf/blocks.json: what llama.cpp's own library makes of the values of test/support/weights.ts, and what it makes of those bytes again.
 *
 *   npm install --ignore-scripts --prefix /tmp/nlc node-llama-cpp@3.21.1
 *   node --import tsx scripts/gguf-golden.ts /tmp/nlc/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { TENSOR_TYPES } from '../src/files/index.js';
import { weightLike } from '../test/support/weights.js';

const BLOCKS = 2000;
/** Blocks whose bytes are kept as they are, so that a difference can be looked at. */
const KEPT = 13;
const ROW = 256;

const library = koffi.load(process.argv[2]!);
const quantize = library.func(
  'size_t ggml_quantize_chunk(int type, const float *src, uint8_t *dst, int64_t start, int64_t nrows, int64_t n_per_row, const float *imatrix)',
) as (...args: unknown[]) => number;
const NAMES: Readonly<Record<string, string>> = {
  Q4_0: 'q4_0',
  Q5_0: 'q5_0',
  Q5_1: 'q5_1',
  Q8_0: 'q8_0',
  Q4_K: 'q4_K',
  Q5_K: 'q5_K',
  Q6_K: 'q6_K',
};

const hash = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const values = weightLike(BLOCKS);
const types = Object.entries(NAMES).map(([type, name]) => {
  const { id, block, bytes } = TENSOR_TYPES[type as keyof typeof TENSOR_TYPES];
  const out = new Uint8Array((values.length / block) * bytes);
  quantize(id, values, out, 0, BLOCKS, ROW, null);
  const back = new Float32Array(values.length);
  const dequantize = library.func(`void dequantize_row_${name}(const uint8_t *x, float *y, int64_t k)`) as (
    ...args: unknown[]
  ) => void;
  dequantize(out, back, values.length);
  const kept = out.subarray(0, KEPT * (ROW / block) * bytes);
  return [
    type,
    {
      bytes: hash(out),
      values: hash(new Uint8Array(back.buffer)),
      first: Buffer.from(kept).toString('base64'),
    },
  ];
});
const golden = {
  source: 'node-llama-cpp 3.21.1, llama.cpp v0.4.0',
  blocks: BLOCKS,
  types: Object.fromEntries(types) as unknown,
};
writeFileSync(
  join(import.meta.dirname, '../test/golden/gguf/blocks.json'),
  `${JSON.stringify(golden, null, 1)}\n`,
);
