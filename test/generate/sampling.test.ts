import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drawOf } from '../../src/generate/sampler.js';
import { Tensor } from '../../src/tensor/tensor.js';
import { backend } from '../support/tiny.js';

interface Options {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
}

/** One draw for each prompt from the same logits. */
async function draws(logits: Float32Array, count: number, options: Options): Promise<Int32Array> {
  const b = await backend();
  const vocab = logits.length;
  const repeated = new Float32Array(count * vocab);
  for (let i = 0; i < count; i++) repeated.set(logits, i * vocab);
  const words = Int32Array.from({ length: count }, (_, prompt) => drawOf(3, prompt, 0));
  const tensors = [
    Tensor.from(b, repeated, [count, vocab]),
    Tensor.from(b, words, [count]),
    Tensor.empty(b, [count], 'i32'),
  ] as const;
  const [from, word, out] = tensors;
  b.kernels.sample({ logits: from, draws: word, out, rows: count, vocab, ...options });
  const tokens = await out.toInt32();
  for (const t of tensors) t.release();
  return tokens;
}

test('frequencies follow the probabilities', async () => {
  const logits = Float32Array.from([1, 3, 2, 0, 2.5, 1.5, -1]);
  for (const temperature of [0.5, 1, 2]) {
    const n = 20_000;
    const counts = new Float64Array(logits.length);
    for (const id of await draws(logits, n, { temperature, topK: 0, topP: 1 })) counts[id]!++;
    const weights = Array.from(logits, (x) => Math.exp(x / temperature));
    const total = weights.reduce((a, b) => a + b, 0);
    // Chi-square with 6 degrees of freedom: above 22.5 in one of a thousand.
    const chi = weights.reduce(
      (sum, w, i) => sum + (counts[i]! - (n * w) / total) ** 2 / ((n * w) / total),
      0,
    );
    assert.ok(chi < 22.5, `chi-square ${chi} at temperature ${temperature}`);
  }
});

test('only what top-k and top-p keep is ever drawn', async () => {
  const rows = fc.array(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 60 });
  const property = fc.asyncProperty(
    rows,
    fc.integer({ min: 0, max: 10 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    async (values, topK, topP) => {
      const logits = Float32Array.from(values, (v) => v / 8);
      const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
      const top = order.slice(0, topK || order.length);
      const weights = top.map((id) => Math.exp(logits[id]! - logits[top[0]!]!));
      const total = weights.reduce((a, b) => a + b, 0);
      let mass = 0;
      // A little more than topP, since the kernel's probabilities are rounded.
      const kept = new Set(
        top.filter((_, i) => {
          const keep = i === 0 || mass < topP * total * (1 + 1e-6);
          mass += weights[i]!;
          return keep;
        }),
      );
      for (const id of await draws(logits, 50, { temperature: 1, topK, topP })) assert.ok(kept.has(id));
    },
  );
  await fc.assert(property, { numRuns: 50 });
});
