/**
 * What the conformance suite does not ask of the CPU's kernels: that no bit depends on the threads or on what else is in a batch,
 * that blocks of every kind (whole, cut by the diagonal, a window, a text's border) are right at lengths of several blocks, and that
 * a NaN comes through.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCpuBackend } from '../../src/backends/cpu/index.js';
import type { DType, Span } from '../../src/backends/span.js';
import { philox4x32 } from '../../src/util/philox.js';

const two = createCpuBackend({ threads: 2 });
const { kernels } = two;

/** Numbers in [-1, 1) that depend on nothing but `stream` and the place. */
function random(length: number, stream: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => philox4x32([i, 0, 0, 0], [stream, 7])[0] / 2 ** 31 - 1);
}

function span(data: Float32Array | Int32Array): Span {
  const dtype: DType = data instanceof Int32Array ? 'i32' : 'f32';
  const made = { buffer: two.alloc(data.byteLength), offset: 0, dtype, length: data.length };
  two.upload(data, made);
  return made;
}

function empty(length: number): Span {
  return span(new Float32Array(length).fill(NaN));
}

async function read(from: Span): Promise<Float32Array> {
  return new Float32Array((await two.download(from)).buffer);
}

interface Case {
  batch: number;
  length: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  window: number;
  segments: (b: number, i: number) => number;
}

interface Inputs {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  dOut: Float32Array;
}

interface Results {
  out: Float32Array;
  lse: Float32Array;
  dq: Float32Array;
  dk: Float32Array;
  dv: Float32Array;
}

function inputsOf(c: Case): Inputs {
  const rows = c.batch * c.length * c.headDim;
  return {
    q: random(rows * c.heads, 1),
    k: random(rows * c.kvHeads, 2),
    v: random(rows * c.kvHeads, 3),
    dOut: random(rows * c.heads, 4),
  };
}

async function run(c: Case, inputs: Inputs): Promise<Results> {
  const segments = span(
    Int32Array.from({ length: c.batch * c.length }, (_, i) =>
      c.segments(Math.floor(i / c.length), i % c.length),
    ),
  );
  const { batch, length, heads, kvHeads, headDim, window } = c;
  const scale = 1 / Math.sqrt(headDim);
  const shape = { batch, length, heads, kvHeads, headDim, causal: true, window, segments, scale };
  const [q, k, v, dOut] = [inputs.q, inputs.k, inputs.v, inputs.dOut].map(span) as [Span, Span, Span, Span];
  const [out, dq] = [empty(q.length), empty(q.length)];
  const [dk, dv, lse] = [empty(k.length), empty(k.length), empty(batch * heads * length)];
  kernels.attention({ ...shape, q, k, v, out, lse });
  kernels.attentionBackward({ ...shape, q, k, v, out, dOut, lse, dq, dk, dv });
  const results = {
    out: await read(out),
    lse: await read(lse),
    dq: await read(dq),
    dk: await read(dk),
    dv: await read(dv),
  };
  for (const s of [segments, q, k, v, dOut, out, dq, dk, dv, lse]) two.free(s.buffer);
  return results;
}

/** The same in plain float64, score by score. */
function plain(c: Case, { q, k, v, dOut }: Inputs): Results {
  const { batch, length, heads, kvHeads, headDim: D, window } = c;
  const scale = 1 / Math.sqrt(D);
  const [out, dq] = [new Float64Array(q.length), new Float64Array(q.length)];
  const [dk, dv] = [new Float64Array(k.length), new Float64Array(k.length)];
  const lse = new Float64Array(batch * heads * length);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < length; i++) {
        const segment = c.segments(b, i);
        if (segment < 0) continue;
        const at = ((b * length + i) * heads + h) * D;
        const kvAt = (j: number): number =>
          ((b * length + j) * kvHeads + Math.floor(h / (heads / kvHeads))) * D;
        const seen: { at: number; p: number }[] = [];
        let total = 0;
        for (let j = window > 0 ? Math.max(0, i - window + 1) : 0; j <= i; j++) {
          if (c.segments(b, j) !== segment) continue;
          const p = Math.exp(scale * dot(q, at, k, kvAt(j), D));
          total += p;
          seen.push({ at: kvAt(j), p });
        }
        lse[(b * heads + h) * length + i] = Math.log(total);
        for (const key of seen) {
          key.p /= total;
          for (let d = 0; d < D; d++) out[at + d]! += key.p * v[key.at + d]!;
        }
        const delta = dot(dOut, at, out, at, D);
        for (const { at: keyAt, p } of seen) {
          const ds = scale * p * (dot(dOut, at, v, keyAt, D) - delta);
          for (let d = 0; d < D; d++) {
            dv[keyAt + d]! += p * dOut[at + d]!;
            dq[at + d]! += ds * k[keyAt + d]!;
            dk[keyAt + d]! += ds * q[at + d]!;
          }
        }
      }
  const f32 = (x: Float64Array): Float32Array => Float32Array.from(x);
  return { out: f32(out), lse: f32(lse), dq: f32(dq), dk: f32(dk), dv: f32(dv) };
}

function dot(a: ArrayLike<number>, atA: number, b: ArrayLike<number>, atB: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[atA + i]! * b[atB + i]!;
  return sum;
}

function assertClose(name: string, got: Float32Array, want: Float32Array): void {
  const largest = want.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  got.forEach((x, i) => {
    const wrong = Math.abs(x - want[i]!) / largest;
    assert.ok(wrong < 3e-6, `${name}[${i}] is ${x}, not ${want[i]}`);
  });
}

const causal = { window: 0, segments: () => 0 };

test('attention and its gradient over several blocks equal the plain sums', async () => {
  const cases: Case[] = [
    { batch: 1, length: 1, heads: 1, kvHeads: 1, headDim: 16, ...causal },
    { batch: 1, length: 203, heads: 2, kvHeads: 2, headDim: 64, ...causal },
    { batch: 2, length: 97, heads: 4, kvHeads: 2, headDim: 20, ...causal, window: 33 },
    // Texts of 31, and of 67 with padding behind, whose borders fall within blocks.
    {
      batch: 2,
      length: 150,
      heads: 3,
      kvHeads: 1,
      headDim: 33,
      ...causal,
      segments: (_, i) => Math.floor(i / 31),
    },
    {
      batch: 2,
      length: 170,
      heads: 2,
      kvHeads: 1,
      headDim: 128,
      window: 50,
      segments: (b, i) => (i > 140 + b ? -1 : Math.floor(i / 67)),
    },
    { batch: 1, length: 60, heads: 1, kvHeads: 1, headDim: 256, ...causal },
  ];
  for (const c of cases) {
    const inputs = inputsOf(c);
    const got = await run(c, inputs);
    const want = plain(c, inputs);
    for (const name of ['out', 'lse', 'dv'] as const) assertClose(name, got[name], want[name]);
    if (c.length > 1) for (const name of ['dq', 'dk'] as const) assertClose(name, got[name], want[name]);
  }
});

test('a sequence has the same bits alone and in a batch, on one thread and on two', async () => {
  const c: Case = { batch: 3, length: 130, heads: 4, kvHeads: 2, headDim: 40, ...causal };
  const inputs = inputsOf(c);
  const together = await run(c, inputs);
  createCpuBackend({ threads: 1 });
  assert.deepEqual(await run(c, inputs), together);
  createCpuBackend({ threads: 2 });
  const part = (x: Float32Array): Float32Array => x.slice((x.length / 3) * 2);
  const alone = await run(
    { ...c, batch: 1 },
    { q: part(inputs.q), k: part(inputs.k), v: part(inputs.v), dOut: part(inputs.dOut) },
  );
  for (const name of ['out', 'lse', 'dq', 'dk', 'dv'] as const)
    assert.deepEqual(alone[name], part(together[name]), name);
});

test('a text has the same bits wherever it stands in a row of texts', async () => {
  const [size, heads, kvHeads, headDim] = [111, 4, 2, 24];
  const common = { batch: 1, heads, kvHeads, headDim };
  for (const window of [0, 50]) {
    const alone = { ...common, window, length: size, segments: () => 0 };
    const inputs = inputsOf(alone);
    const want = await run(alone, inputs);
    for (const before of [5, 37, 96]) {
      const behind = {
        ...common,
        window,
        length: before + size,
        segments: (_: number, i: number) => Number(i >= before),
      };
      const others = inputsOf(behind);
      const join = (name: keyof Inputs): Float32Array => {
        const [own, other] = [inputs[name], others[name]];
        return Float32Array.from([...other.slice(0, other.length - own.length), ...own]);
      };
      const got = await run(behind, { q: join('q'), k: join('k'), v: join('v'), dOut: join('dOut') });
      for (const name of ['out', 'dq', 'dk', 'dv'] as const)
        assert.deepEqual(got[name].slice(-want[name].length), want[name], `${name} behind ${before}`);
    }
  }
});

test('cached attention over several chunks: the same bits for a row whatever else is decoded', async () => {
  const [slots, capacity, heads, kvHeads, headDim] = [3, 700, 4, 2, 24];
  const keys = span(random(slots * capacity * kvHeads * headDim, 5));
  const values = span(random(slots * capacity * kvHeads * headDim, 6));
  const decode = async (q: Float32Array, slotOf: number[], positions: number[]): Promise<Float32Array> => {
    const out = empty(q.length);
    const rows = slotOf.length;
    const places = { slotOf: span(Int32Array.from(slotOf)), positions: span(Int32Array.from(positions)) };
    const shape = { slots, capacity, heads, kvHeads, headDim, rows, scale: 0.2, window: 400 };
    kernels.attentionCached({ ...shape, ...places, q: span(q), keys, values, out });
    return read(out);
  };
  const q = random(3 * heads * headDim, 8);
  const together = await decode(q, [2, 0, 1], [690, 3, 255]);
  const size = heads * headDim;
  assert.deepEqual(await decode(q.slice(0, size), [2], [690]), together.slice(0, size));
  assert.deepEqual(await decode(q.slice(2 * size), [1], [255]), together.slice(2 * size));
});

test('sums over many elements have the same bits on one thread and on two', async () => {
  const [rows, dim] = [300, 517];
  const [x, dy, w] = [random(rows * dim, 9), random(rows * dim, 10), random(dim, 11)];
  const sums = async (): Promise<Float32Array[]> => {
    const { kernels: k } = two;
    const [rstd, y, dx, norm] = [empty(rows), empty(rows * dim), empty(rows * dim), empty(1)];
    const [dw, columns] = [span(new Float32Array(dim)), empty(dim)];
    const shape = { rows, dim, weightOffset: 0 } as const;
    k.rmsNorm({ x: span(x), w: span(w), y, rstd, eps: 1e-5, ...shape });
    k.rmsNormBackward({ dy: span(dy), x: span(x), w: span(w), rstd, dx, accumulate: false, dw, ...shape });
    k.sumSquares({ x: dx, n: rows * dim, out: norm, accumulate: false });
    k.sumRows({ x: dx, y: columns, rows, cols: dim, accumulate: false });
    return Promise.all([y, dx, dw, norm, columns].map(read));
  };
  const onTwo = await sums();
  // The number of threads is the process's.
  createCpuBackend({ threads: 1 });
  assert.deepEqual(await sums(), onTwo);
  createCpuBackend({ threads: 2 });
});

test('dropout of a part that begins anywhere is the part of the whole', async () => {
  const n = 500;
  const x = random(n, 12);
  const draw = async (from: number, firstElement: number): Promise<Float32Array> => {
    const y = empty(n - from);
    const stream = { seed: 4000000000, stream: 17, step: 3 };
    const options = { p: 0.5, random: stream, firstElement, accumulate: false };
    kernels.dropout({ x: span(x.slice(from)), y, n: n - from, ...options });
    return read(y);
  };
  for (const base of [0, 2 ** 35 - 100]) {
    const whole = await draw(0, base);
    whole.forEach((y, i) => {
      const place = base + i;
      const counter = [Math.floor(place / 8) >>> 0, Math.floor(place / 2 ** 35), 3, 0] as const;
      const word = philox4x32(counter, [4000000000, 17])[(place % 8) >> 1]!;
      const kept = (place % 2 === 0 ? word % 2 ** 16 : word / 2 ** 16) >= 2 ** 15;
      assert.equal(y, kept ? Math.fround(x[i]! * 2) : 0);
    });
    for (const from of [1, 63, 130]) assert.deepEqual(await draw(from, base + from), whole.slice(from));
  }
});

test('a NaN comes through: attention, loss, norm, gate', async () => {
  const c: Case = { batch: 1, length: 70, heads: 1, kvHeads: 1, headDim: 16, ...causal };
  const inputs = inputsOf(c);
  inputs.k[65 * 16] = NaN;
  const { out, dq } = await run(c, inputs);
  assert.ok(Number.isNaN(out[66 * 16]) && Number.isNaN(dq[66 * 16]));

  const logits = random(3 * 2000, 13);
  logits[2000 + 1500] = NaN;
  const [data, losses, rstd] = [span(logits), empty(3), empty(3)];
  const targets = span(Int32Array.from([1, 2, -100]));
  kernels.rmsNorm({
    x: data,
    w: span(new Float32Array(2000)),
    weightOffset: 0,
    y: empty(6000),
    rstd,
    rows: 3,
    dim: 2000,
    eps: 0,
  });
  assert.deepEqual(Array.from(await read(rstd), Number.isNaN), [false, true, false]);
  kernels.crossEntropy({
    logits: data,
    targets,
    losses,
    rows: 3,
    vocab: 2000,
    gradient: { to: data, scale: 1 },
  });
  assert.deepEqual(Array.from(await read(losses), Number.isNaN), [false, true, false]);
  const gate = span(Float32Array.of(1, NaN, -200, 200));
  const y = empty(4);
  for (const activation of ['silu', 'gelu_tanh'] as const) {
    kernels.gatedUnit({ activation, gate, up: span(Float32Array.of(1, 1, 1, 1)), y, n: 4 });
    const [, second, third, fourth] = await read(y);
    assert.ok(Number.isNaN(second));
    assert.ok(Math.abs(third!) < 1e-30);
    assert.equal(fourth, 200);
  }
});
