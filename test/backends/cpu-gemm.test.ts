/** The matrix product, NF4 and conversions of the `cpu` backend against plain double-precision loops, over odd shapes. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BYTES_PER_ELEMENT, type DType, type Matrix, type Span } from '../../src/backends/span.js';
import type { GemmArgs } from '../../src/backends/kernels.js';
import { createCpuBackend } from '../../src/backends/cpu/index.js';
import { sizeClass } from '../../src/backends/pool.js';

const backend = createCpuBackend({ threads: 2 });

/** A span that ends where its block of memory ends, so that the address sanitizer sees what reads or writes behind it. */
function empty(length: number, dtype: DType): Span {
  const bytes = length * BYTES_PER_ELEMENT[dtype];
  const buffer = backend.alloc(sizeClass(bytes));
  return { buffer, offset: buffer.bytes - bytes, dtype, length };
}

function span(data: Float32Array | Uint8Array): Span {
  const s = empty(data.length, data instanceof Float32Array ? 'f32' : 'u8');
  backend.upload(data, s);
  return s;
}

async function floats(s: Span): Promise<Float32Array> {
  return new Float32Array((await backend.download(s)).buffer);
}

/** Numbers in [-1, 1) from a linear congruential generator. */
function noise(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

type Kind = 'f32' | 'bf16' | 'f16' | 'nf4' | 'nf4-nested';

/** A matrix of the kind and the numbers it stands for. */
async function matrix(kind: Kind, rows: number, cols: number, seed: number): Promise<[Matrix, Float32Array]> {
  const n = rows * cols;
  const source = span(noise(n, seed));
  if (kind === 'f32') return [{ kind: 'dense', rows, cols, data: source }, await floats(source)];
  const values = empty(n, 'f32');
  if (kind === 'bf16' || kind === 'f16') {
    const data = empty(n, kind);
    backend.kernels.convert({ x: source, y: data, n });
    backend.kernels.convert({ x: data, y: values, n });
    return [{ kind: 'dense', rows, cols, data }, await floats(values)];
  }
  const blocks = Math.ceil(n / 64);
  const packed = empty(Math.ceil(n / 2), 'u8');
  const absmax = empty(blocks, 'f32');
  backend.kernels.quantizeNf4({ x: source, n, packed, absmax });
  const w =
    kind === 'nf4'
      ? { kind: 'nf4' as const, rows, cols, packed, absmax }
      : {
          kind: 'nf4' as const,
          rows,
          cols,
          packed,
          absmax: span(Uint8Array.from({ length: blocks }, (_, i) => (i * 37) % 256)),
          nested: {
            absmax: span(noise(Math.ceil(blocks / 256), seed + 1)),
            map: span(noise(256, seed + 2)),
            offset: span(Float32Array.of(0.75)),
          },
        };
  backend.kernels.dequantizeNf4({ w, y: values });
  return [w, await floats(values)];
}

interface Case {
  m: number;
  n: number;
  k: number;
  kind?: Kind;
  transA?: boolean;
  transB?: boolean;
  alpha?: number;
  extraK?: number;
  bias?: boolean;
  add?: 'residual' | 'in place' | 'accumulate';
  path?: 'tiles' | 'rows';
  precision?: 'f32' | 'bf16';
}

/** What a product should be, and the sum of its terms' absolute values, by which rounding is measured. */
interface Expected {
  values: Float64Array;
  size: Float64Array;
}

async function operands(c: Case): Promise<{ args: GemmArgs; expect: () => Expected }> {
  const { m, n, k, transA = false, transB = false, alpha = 1, extraK = 0 } = c;
  const a = noise(m * k, 1);
  const [b, bValues] = await matrix(c.kind ?? 'f32', transB ? n : k, transB ? k : n, 2);
  const extraA = noise(m * extraK, 3);
  const extraB = noise(n * extraK, 4);
  const bias = noise(n, 5);
  const start = noise(m * n, 6);
  const expect = (): Expected => {
    const values = new Float64Array(m * n);
    const size = new Float64Array(m * n);
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        let absolute = 0;
        const add = (x: number): void => {
          sum += x;
          absolute += Math.abs(x);
        };
        for (let p = 0; p < k; p++)
          add(alpha * a[transA ? p * m + i : i * k + p]! * bValues[transB ? j * k + p : p * n + j]!);
        for (let p = 0; p < extraK; p++)
          add(
            0.25 *
              extraA[transA ? p * m + i : i * extraK + p]! *
              extraB[transB ? j * extraK + p : p * n + j]!,
          );
        if (c.bias) add(bias[j]!);
        if (c.add) add(start[i * n + j]!);
        values[i * n + j] = sum;
        size[i * n + j] = absolute;
      }
    return { values, size };
  };
  const out = span(start);
  const args: GemmArgs = {
    m,
    n,
    k,
    a: span(a),
    transA,
    b,
    transB,
    c: out,
    alpha,
    path: c.path ?? 'tiles',
    precision: c.precision ?? 'f32',
    ...(extraK > 0 && {
      extra: [{ first: 0, rows: m, a: span(extraA), b: span(extraB), k: extraK, alpha: 0.25 }],
    }),
    ...(c.bias && { bias: span(bias) }),
    ...(c.add === 'accumulate' && { accumulate: true }),
    ...(c.add === 'in place' && { residual: out }),
    ...(c.add === 'residual' && { residual: span(start) }),
  };
  return { args, expect };
}

async function check(c: Case): Promise<void> {
  const { args, expect } = await operands(c);
  const { values, size } = expect();
  backend.kernels.gemm(args);
  const got = await floats(args.c);
  const unit = c.precision === 'bf16' ? 2 ** -7 : 2 ** -22;
  got.forEach((x, i) => {
    const allowed = unit * (size[i]! + 1e-3) * (c.precision === 'bf16' ? 1 : 1 + Math.sqrt(c.k));
    assert.ok(
      Math.abs(x - values[i]!) <= allowed,
      `${JSON.stringify(c)} at ${i}: ${x}, expected ${values[i]}`,
    );
  });
}

const KINDS: readonly Kind[] = ['f32', 'bf16', 'f16', 'nf4', 'nf4-nested'];

void describe('gemm in tiles', () => {
  for (const kind of KINDS)
    it(`multiplies by ${kind} in every orientation`, async () => {
      for (const [m, n, k] of [
        [1, 1, 1],
        [3, 5, 7],
        [17, 33, 65],
        [14, 32, 256],
        [45, 100, 259],
        [29, 64, 128],
      ] as const)
        for (const transA of [false, true])
          for (const transB of [false, true]) await check({ m, n, k, kind, transA, transB });
    });

  it('crosses the borders of its blocks', async () => {
    await check({ m: 240, n: 70, k: 520, transB: true });
    await check({ m: 5, n: 4103, k: 9, kind: 'nf4' });
    await check({ m: 5, n: 4103, k: 9, transB: true });
    await check({ m: 230, n: 20, k: 300, transA: true, add: 'accumulate' });
  });

  it('joins the thin product, scales, bias and addends', async () => {
    for (const add of ['residual', 'in place', 'accumulate'] as const)
      for (const transB of [false, true])
        for (const transA of [false, true])
          await check({
            m: 19,
            n: 37,
            k: 270,
            transA,
            transB,
            kind: 'nf4',
            alpha: 0.5,
            extraK: 9,
            bias: true,
            add,
          });
    await check({ m: 9, n: 20, k: 255, extraK: 8, transB: true });
    await check({ m: 9, n: 20, k: 256, extraK: 300 });
    await check({ m: 9, n: 20, k: 0, bias: true, add: 'residual' });
  });

  it('rounds to bfloat16 no more than that', async () => {
    for (const kind of KINDS)
      for (const transB of [false, true])
        await check({ m: 21, n: 50, k: 301, kind, transB, extraK: 5, bias: true, precision: 'bf16' });
    for (const m of [1, 2, 4, 5, 8, 9, 14, 15])
      await check({ m, n: 17, k: 11, precision: 'bf16', transA: true, transB: true });
  });
});

void describe('gemm by rows', () => {
  it('multiplies few rows by weights of every kind', async () => {
    for (const kind of KINDS)
      for (const [n, k] of [
        [1, 1],
        [5, 63],
        [37, 64],
        [130, 192],
        [9, 1100],
        [66, 2048],
      ] as const)
        for (const m of [1, 2, 3, 4, 7, 16, 21]) await check({ m, n, k, kind, transB: true, path: 'rows' });
  });

  it('joins the thin product, scales, bias and addends', async () => {
    for (const precision of ['f32', 'bf16'] as const)
      for (const kind of KINDS)
        for (const add of ['residual', 'in place', 'accumulate'] as const)
          for (const m of [1, 5, 16])
            await check({
              m,
              n: 43,
              k: 320,
              kind,
              transB: true,
              alpha: 2,
              extraK: 13,
              bias: true,
              add,
              path: 'rows',
              precision,
            });
  });

  it('takes the other orientations as well', async () => {
    await check({ m: 3, n: 43, k: 65, path: 'rows' });
    await check({ m: 3, n: 43, k: 65, path: 'rows', transA: true, transB: true });
  });
});

void describe('bits', () => {
  const cases: Case[] = [];
  for (const path of ['tiles', 'rows'] as const)
    for (const precision of ['f32', 'bf16'] as const)
      for (const kind of KINDS)
        for (const k of [192, 555])
          cases.push({ m: 37, n: 300, k, kind, transB: true, extraK: 8, bias: true, path, precision });

  it('do not depend on the number of threads', async () => {
    for (const c of [...cases, { m: 300, n: 700, k: 300, transA: true }]) {
      const { args } = await operands(c);
      const results: Float32Array[] = [];
      for (const threads of [1, 2, 3]) {
        createCpuBackend({ threads });
        backend.kernels.gemm(args);
        results.push(await floats(args.c));
      }
      createCpuBackend({ threads: 2 });
      assert.deepEqual(results[1], results[0]);
      assert.deepEqual(results[2], results[0]);
    }
  });

  it('of a row do not depend on the other rows', async () => {
    for (const c of cases) {
      const { args } = await operands(c);
      backend.kernels.gemm(args);
      const whole = await floats(args.c);
      for (const [first, count] of [
        [0, 1],
        [5, 1],
        [3, 2],
        [8, 4],
        [11, 8],
        [20, 17],
      ] as const) {
        const part = empty(count * c.n, 'f32');
        const row = (s: Span, width: number): Span => ({
          ...s,
          offset: s.offset + first * width * 4,
          length: count * width,
        });
        const { a } = args;
        const extra = args.extra![0]!;
        backend.kernels.gemm({
          ...args,
          m: count,
          a: row(a, c.k),
          c: part,
          extra: [{ ...extra, rows: count, a: row(extra.a, extra.k) }],
        });
        assert.deepEqual(await floats(part), whole.subarray(first * c.n, (first + count) * c.n));
      }
    }
  });

  it('keep a NaN and an infinity where they belong', async () => {
    for (const path of ['tiles', 'rows'] as const) {
      const x = noise(3 * 100, 1);
      x[100 + 50] = NaN;
      x[200 + 99] = Infinity;
      const [b] = await matrix('nf4', 40, 100, 2);
      const c = empty(120, 'f32');
      backend.kernels.gemm({ m: 3, n: 40, k: 100, a: span(x), b, transB: true, c, path });
      const y = await floats(c);
      assert.ok(y.subarray(0, 40).every(Number.isFinite));
      assert.ok(y.subarray(40, 80).every(Number.isNaN));
      assert.ok(y.subarray(80).every((v) => !Number.isFinite(v)));
    }
  });
});

void describe('misuse of gemm', () => {
  it('is told before foreign memory is touched', async () => {
    const { args } = await operands({ m: 3, n: 5, k: 7 });
    assert.throws(() => backend.kernels.gemm({ ...args, k: 8 }), /b is \[7, 5\]/);
    assert.throws(() => backend.kernels.gemm({ ...args, m: 4 }), /a has 21 elements, needs 28/);
    assert.throws(() => backend.kernels.gemm({ ...args, residual: args.c, accumulate: true }), /excludes/);
  });
});
