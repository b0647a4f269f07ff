/** Attention's operations: their gradients against finite differences, T5's buckets against transformers' documented ones. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pass } from '../../src/ops/pass.js';
import { Parameter } from '../../src/autograd/parameter.js';
import { createReferenceBackend } from '../../src/backends/reference/index.js';
import { attention, crossAttention } from '../../src/ops/attention.js';
import { relativeBias, relativeBucket, relativePlaces, relativeReach } from '../../src/ops/relative-bias.js';
import { Tensor } from '../../src/tensor/tensor.js';
import { philox4x32 } from '../../src/util/philox.js';

const backend = createReferenceBackend();

function random(length: number, stream: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => philox4x32([i, 0, 0, 0], [stream, 11])[0] / 2 ** 31 - 1);
}

/** Operands by name, what is made of them, and a parameter among them whose gradient is its own. */
async function checkGradients(
  arrays: Readonly<Record<string, readonly number[]>>,
  run: (g: Pass, t: Readonly<Record<string, Tensor>>) => Tensor,
  parameters: Readonly<Record<string, Parameter>> = {},
): Promise<void> {
  const held = backend.memory().held;
  const operands = Object.fromEntries(
    Object.entries(arrays).map(([name, shape], i) => {
      const t = Tensor.from(
        backend,
        random(
          shape.reduce((a, b) => a * b, 1),
          i + 1,
        ),
        shape,
      );
      t.needsGrad = true;
      return [name, t];
    }),
  );
  const weights = async (
    training: boolean,
  ): Promise<{ sum: number; grads: Record<string, Float32Array> }> => {
    const g = new Pass(backend, { training });
    const out = run(g, operands);
    const w = random(out.length, 99);
    const sum = (await out.toFloat32()).reduce((all, x, i) => all + x * w[i]!, 0);
    const grads: Record<string, Float32Array> = {};
    if (training) {
      g.backward(out, Tensor.from(backend, w, out.shape));
      for (const [name, t] of Object.entries(operands)) {
        const grad = g.takeGrad(t)!;
        grads[name] = await grad.toFloat32();
        grad.release();
      }
      for (const [name, p] of Object.entries(parameters)) grads[name] = await p.grad!.toFloat32();
    }
    g.close();
    return { sum, grads };
  };
  const { grads } = await weights(true);
  const trained = {
    ...operands,
    ...Object.fromEntries(Object.entries(parameters).map(([n, p]) => [n, p.value])),
  };
  for (const [name, t] of Object.entries(trained)) {
    const values = await t.toFloat32();
    for (let i = 0; i < values.length; i++) {
      const at = async (step: number): Promise<number> => {
        backend.upload(
          Float32Array.from(values, (x, j) => (i === j ? x + step : x)),
          t,
        );
        return (await weights(false)).sum;
      };
      const slope = ((await at(1e-2)) - (await at(-1e-2))) / 2e-2;
      assert.ok(Math.abs(slope - grads[name]![i]!) < 2e-3, `${name}[${i}]: ${slope}, ${grads[name]![i]!}`);
    }
    backend.upload(values, t);
  }
  for (const t of Object.values(operands)) t.release();
  assert.equal(backend.memory().held, held, 'memory was left behind');
}

const SHAPE = { batch: 2, length: 5, heads: 2, kvHeads: 1, headDim: 3, scale: 0.7 };
const HEADS = { q: [2, 5, 2, 3], k: [2, 5, 1, 3], v: [2, 5, 1, 3] };
const SEGMENTS = Int32Array.of(0, 0, 0, 1, 1, 0, 0, 0, 0, -1);

for (const causal of [false, true])
  test(`attention with a bias by distance, ${causal ? 'causal' : 'of whole segments'}: gradients`, async () => {
    await checkGradients({ ...HEADS, bias: [2, 5] }, (g, { q, k, v, bias }) => {
      const shape = { ...SHAPE, causal, window: 0, segments: g.from(SEGMENTS) };
      return attention(g, q!, k!, v!, shape, { bias });
    });
  });

test('a bias that two layers share gets the gradient of both', async () => {
  await checkGradients({ ...HEADS, bias: [2, 5] }, (g, { q, k, v, bias }) => {
    const shape = { ...SHAPE, causal: false, window: 0, segments: g.from(SEGMENTS) };
    return attention(g, attention(g, q!, k!, v!, shape, { bias }), k!, v!, shape, { bias });
  });
});

test('cross attention: gradients, zeros where a segment has no keys', async () => {
  const shape = { ...SHAPE, length: 5 };
  const run = (g: Pass, { q, k, v }: Readonly<Record<string, Tensor>>): Tensor =>
    crossAttention(g, q!, k!, v!, {
      ...shape,
      segments: g.from(Int32Array.of(0, 0, 1, 1, 2, 0, 1, 1, 2, -1)),
      keys: { length: 4, segments: g.from(Int32Array.of(0, 0, 0, 2, 1, 1, 1, 1)) },
    });
  await checkGradients({ q: HEADS.q, k: [2, 4, 1, 3], v: [2, 4, 1, 3] }, run);
  const g = new Pass(backend);
  const [q, k, v] = [60, 24, 24].map((n, i) => g.from(random(n, i + 1))) as [Tensor, Tensor, Tensor];
  const rows = await run(g, { q: q.view([2, 5, 2, 3]), k, v }).toFloat32();
  const seeing = Array.from({ length: 10 }, (_, r) => rows.subarray(r * 6, r * 6 + 6).some((x) => x !== 0));
  assert.deepEqual(seeing, [true, true, false, false, true, false, true, true, false, false]);
  q.release();
  g.close();
});

test("T5's table of buckets: the gradient of its entries", async () => {
  const held = backend.memory().held;
  const table = new Parameter('relative_attention_bias.weight', Tensor.from(backend, random(16, 8), [8, 2]));
  table.grad = Tensor.zeros(backend, [8, 2]);
  const buckets = { num_buckets: 8, max_distance: 4, bidirectional: true };
  const weights = {
    table: { kind: 'dense', rows: 8, cols: 2, data: table.value } as const,
    parameter: table,
    scale: 1,
  };
  await checkGradients(
    HEADS,
    (g, { q, k, v }) => {
      const shape = { ...SHAPE, causal: false, window: 0, segments: g.from(SEGMENTS) };
      const places = g.from(relativePlaces(buckets, table.value.shape[1]!, relativeReach(5, buckets)));
      return attention(g, q!, k!, v!, shape, { bias: relativeBias(g, weights, places) });
    },
    { table },
  );
  table.value.release();
  table.grad.release();
  assert.equal(backend.memory().held, held);
});

test("buckets are T5's: half of them exact, the rest by the logarithm, one side or both", () => {
  const both = { num_buckets: 32, max_distance: 128, bidirectional: true };
  const far = [-7, -8, -11, -12, -15, -16, -23, -31, -45, -46, -90, -91, -128, -1000];
  assert.deepEqual(
    far.map((d) => relativeBucket(d, both)),
    [7, 8, 8, 9, 9, 10, 11, 11, 12, 13, 14, 15, 15, 15],
  );
  assert.deepEqual(
    far.map((d) => relativeBucket(-d, both)),
    [23, 24, 24, 25, 25, 26, 27, 27, 28, 29, 30, 31, 31, 31],
  );
  const back = { ...both, bidirectional: false };
  assert.deepEqual(
    [5, 0, -1, -15, -16, -18, -19, -113, -128, -500].map((d) => relativeBucket(d, back)),
    [0, 0, 1, 15, 16, 16, 17, 31, 31, 31],
  );
  // Beyond the reach nothing changes any more.
  for (const b of [both, back]) {
    const reach = relativeReach(5000, b);
    assert.equal(reach, 129);
    for (const d of [reach - 1, 5000])
      assert.deepEqual(
        [relativeBucket(d, b), relativeBucket(-d, b)],
        [relativeBucket(reach - 1, b), relativeBucket(1 - reach, b)],
      );
  }
});
