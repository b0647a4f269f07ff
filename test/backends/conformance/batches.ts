/** Kernels whose rows must not know of each other: the same rows alone, in pairs, and among all. */

import type { Backend } from '../../../src/backends/contract.js';
import type { RowGroup } from '../../../src/backends/span.js';
import { slice } from '../../../src/tensor/tensor.js';
import {
  define,
  drawFrom,
  f32,
  floats,
  i32,
  random,
  unwritten,
  type Case,
  type HostArray,
} from './harness.js';
import { matrix, MATRIX_KINDS } from './matrices.js';
import { attentionScale } from './naive.js';

export interface BatchCase {
  readonly name: string;
  readonly rows: number;
  /** The case of rows first … first + count - 1 alone. */
  readonly of: (first: number, count: number) => Case;
}

function part(
  data: Float32Array | Int32Array,
  size: number,
  first: number,
  count: number,
  dtype: 'f32' | 'bf16' = 'f32',
): HostArray {
  const rows = data.slice(first * size, (first + count) * size);
  return rows instanceof Int32Array ? i32(rows) : floats(dtype, rows);
}

export function batchCases(): BatchCase[] {
  drawFrom(9000);
  const cases: BatchCase[] = [];
  for (const kind of MATRIX_KINDS)
    for (const path of ['tiles', 'rows'] as const)
      for (const precision of ['f32', 'bf16'] as const)
        for (const transB of [true, false]) {
          const [rows, n, k] = [path === 'rows' ? 17 : 70, 70, 131];
          const b = transB ? matrix(kind, n, k) : matrix(kind, k, n);
          const [a, residual, bias, u, v] = [
            random(rows * k),
            random(rows * n),
            random(n),
            random(rows * 5),
            random(n * 5),
          ];
          cases.push({
            name: `gemm, ${kind}, ${path}, ${precision}${transB ? ', transB' : ''}`,
            rows,
            of: (first, count) => ({
              name: '',
              arrays: {
                ...b.arrays,
                ...{
                  a: part(a, k, first, count),
                  residual: part(residual, n, first, count),
                  bias: f32(bias),
                },
                ...{ u: part(u, 5, first, count), v: f32(v), c: unwritten(count * n) },
              },
              outputs: ['c'],
              call: (kernels, s) =>
                kernels.gemm({
                  ...{ m: count, n, k, a: s['a']!, b: b.on(s), transB, c: s['c']!, path, precision },
                  ...{ residual: s['residual']!, bias: s['bias']! },
                  extra: [{ first: 0, rows: count, a: s['u']!, b: s['v']!, k: 5, alpha: 0.5 }],
                }),
            }),
          });
        }

  const [rows, dim] = [35, 100];
  const [x, w] = [random(rows * dim, -3, 3), random(dim)];
  for (const weightOffset of [0, 1] as const)
    cases.push({
      name: `rmsNorm${weightOffset ? ', weights from 1' : ''}`,
      rows,
      of: (first, count) =>
        define(
          '',
          { x: part(x, dim, first, count), w: f32(w), y: unwritten(count * dim), rstd: unwritten(count) },
          ['y', 'rstd'],
          (kernels, s) => kernels.rmsNorm({ ...s, weightOffset, rows: count, dim, eps: 1e-5 }),
        ),
    });
  const b = random(dim);
  cases.push({
    name: 'layerNorm',
    rows,
    of: (first, count) =>
      define(
        '',
        {
          ...{ x: part(x, dim, first, count), w: f32(w), b: f32(b), y: unwritten(count * dim) },
          ...{ mean: unwritten(count), rstd: unwritten(count) },
        },
        ['y', 'mean', 'rstd'],
        (kernels, s) => kernels.layerNorm({ ...s, rows: count, dim, eps: 1e-5 }),
      ),
  });
  const targets = Int32Array.from({ length: rows }, (_, r) => r);
  cases.push({
    name: 'crossEntropy',
    rows,
    of: (first, count) =>
      define(
        '',
        {
          logits: part(x, dim, first, count),
          targets: part(targets, 1, first, count),
          losses: unwritten(count),
        },
        ['logits', 'losses'],
        (kernels, s) =>
          kernels.crossEntropy({
            ...{ ...s, rows: count, vocab: dim, smoothing: 0.1 },
            gradient: { to: s.logits, scale: 0.5 },
          }),
      ),
  });

  const shape = { length: 50, heads: 4, kvHeads: 2, headDim: 24 };
  const scale = attentionScale({ ...shape, batch: 1, window: 0 });
  const q = random(5 * 50 * 96);
  const segments = Int32Array.from({ length: 5 * 50 }, (_, i) => (i % 50 < 30 ? 0 : 1));
  const values = f32(random(4 * 23));
  for (const { what, keyLength = 50, reach, ...more } of [
    { what: 'attention', causal: true, window: 20 },
    { what: 'attention to whole segments, with a bias', causal: false, window: 0, reach: 12 },
    { what: 'cross attention', causal: false, window: 0, keyLength: 70 },
  ]) {
    const [k, v] = [random(5 * keyLength * 48), random(5 * keyLength * 48)];
    const others = Int32Array.from({ length: 5 * keyLength }, (_, i) => (i % keyLength < 30 ? 0 : 1));
    cases.push({
      name: what,
      rows: 5,
      of: (first, count) =>
        define(
          '',
          {
            ...{ segments: part(segments, 50, first, count), others: part(others, keyLength, first, count) },
            q: part(q, 50 * 96, first, count),
            k: part(k, keyLength * 48, first, count),
            v: part(v, keyLength * 48, first, count),
            ...{ values, out: unwritten(count * 50 * 96), lse: unwritten(count * 200) },
          },
          ['out', 'lse'],
          (kernels, s) =>
            kernels.attention({
              ...{ ...shape, ...more, batch: count, scale, ...s },
              ...(keyLength !== 50 && { keys: { length: keyLength, segments: s.others } }),
              ...(reach !== undefined && { bias: { values: s.values, reach } }),
            }),
        ),
    });
  }

  const [slots, capacity] = [9, 120];
  const cache = [0, 1].map(() => random(slots * capacity * 48)) as [Float32Array, Float32Array];
  const slotOf = Int32Array.from({ length: slots }, (_, r) => (r * 4) % slots);
  const positions = Int32Array.from({ length: slots }, (_, r) => r * 13);
  const queries = random(slots * 96);
  cases.push({
    name: 'attentionCached',
    rows: slots,
    of: (first, count) =>
      define(
        '',
        {
          ...{ keys: f32(cache[0]), values: f32(cache[1]), q: part(queries, 96, first, count) },
          ...{ slotOf: part(slotOf, 1, first, count), positions: part(positions, 1, first, count) },
          out: unwritten(count * 96),
        },
        ['out'],
        (kernels, s) =>
          kernels.attentionCached({
            ...{ slots, capacity, kvHeads: 2, headDim: 24, rows: count, heads: 4, scale, window: 0 },
            ...s,
          }),
      ),
  });
  return cases;
}

/** Products of several trainings' rows: each training's alone, and all in their groups. */
export interface GroupCase {
  readonly name: string;
  readonly groups: readonly RowGroup[];
  /** The case of rows first … first + count - 1, in `groups` where they are given. */
  readonly of: (first: number, count: number, groups?: readonly RowGroup[]) => Case;
}

/** For a backend; with large shapes where it has a library that has several algorithms for them. */
export function groupCases({ activations, batchInvariant }: Backend): GroupCase[] {
  drawFrom(9500);
  const small = {
    counts: [
      [70, 3],
      [33, 1],
      [1, 2],
    ],
    n: 72,
    k: 136,
  } as const;
  const shapes = [
    small,
    ...(!batchInvariant
      ? [
          { counts: [[2048, 6]], n: 512, k: 192 } as const,
          {
            counts: [
              [1900, 4],
              [2048, 2],
              [5, 3],
            ],
            n: 192,
            k: 512,
          } as const,
          { counts: [[512, 8]], n: 1024, k: 2048 } as const,
          {
            counts: [
              [128, 3],
              [100, 5],
              [1024, 1],
            ],
            n: 2048,
            k: 2048,
          } as const,
        ]
      : []),
  ];
  return shapes.flatMap(({ counts, n, k }) =>
    (['f32', 'bf16'] as const).flatMap((precision) =>
      [true, false].map((transB): GroupCase => {
        const type = precision === 'bf16' ? activations : 'f32';
        const groups: RowGroup[] = [];
        let total = 0;
        for (const [rows, count] of counts) {
          groups.push({ first: total, rows, count });
          total += rows * count;
        }
        const b = transB ? matrix('nf4', n, k) : matrix('nf4', k, n);
        const [a, residual] = [random(total * k), random(total * n)];
        // Every second training has something of its own to add.
        const members = groups.flatMap(({ first, rows, count }) =>
          Array.from({ length: count }, (_, i) => ({ first: first + i * rows, rows })),
        );
        const riding = members.filter((_, i) => i % 2 === 1);
        const [u, v] = [random(total * 16), random(n * 16)];
        return {
          name: `gemm, ${total} x ${n} x ${k}, ${precision}${transB ? ', transB' : ''}`,
          groups,
          of: (first, count, groups) => ({
            name: '',
            arrays: {
              ...{
                ...b.arrays,
                a: part(a, k, first, count, type),
                u: part(u, 16, first, count, type),
                v: f32(v),
              },
              ...{ residual: part(residual, n, first, count, type), c: unwritten(count * n, type) },
            },
            outputs: ['c'],
            call: (kernels, s) =>
              kernels.gemm({
                ...{ m: count, n, k, a: s['a']!, b: b.on(s), transB, c: s['c']!, groups },
                ...{ residual: s['residual']!, precision },
                extra: riding
                  .filter((member) => member.first >= first && member.first < first + count)
                  .map((member) => ({
                    ...{ first: member.first - first, rows: member.rows, k: 16, b: s['v']!, alpha: 0.5 },
                    a: slice(s['u']!, (member.first - first) * 16, member.rows * 16),
                  })),
              }),
          }),
        };
      }),
    ),
  );
}
