/** Cases of matrix products, LoRA's among them. */

import type { Matrix, Span } from '../../../src/backends/span.js';
import type { GemmArgs } from '../../../src/backends/kernels.js';
import { dynamicMap } from '../../../src/util/double-quant.js';
import { NF4_CODES } from '../../../src/util/nf4.js';
import {
  drawFrom,
  f32,
  floats,
  random,
  u8,
  unwritten,
  valuesOf,
  type Case,
  type HostArray,
  type Numbers,
} from './harness.js';

drawFrom(1000);

type MatrixKind = 'f32' | 'bf16' | 'f16' | 'nf4' | 'nf4x2';
export const MATRIX_KINDS: readonly MatrixKind[] = ['f32', 'bf16', 'f16', 'nf4', 'nf4x2'];

interface HostMatrix {
  readonly arrays: Record<string, HostArray>;
  readonly values: Numbers;
  readonly on: (spans: Readonly<Record<string, Span>>) => Matrix;
}

/** A random matrix with the numbers that it stands for; its arrays' names begin with `b`. */
export function matrix(kind: MatrixKind, rows: number, cols: number): HostMatrix {
  const n = rows * cols;
  if (kind === 'f32' || kind === 'bf16' || kind === 'f16') {
    const b = floats(kind, random(n));
    return {
      arrays: { b },
      values: valuesOf(b),
      on: (s) => ({ kind: 'dense', rows, cols, data: s['b']! }),
    };
  }
  const blocks = Math.ceil(n / 64);
  const packed = Uint8Array.from(random(Math.ceil(n / 2), 0, 256));
  const arrays: Record<string, HostArray> = { b: u8(packed) };
  let scales: ArrayLike<number>;
  if (kind === 'nf4') {
    scales = random(blocks, 0.5, 2);
    arrays['bAbsmax'] = f32(scales);
  } else {
    const codes = Uint8Array.from(random(blocks, 0, 256));
    const nested = random(Math.ceil(blocks / 256), 0.5, 1);
    const map = dynamicMap();
    const shift = Math.fround(1.3);
    scales = Array.from(codes, (code, i) => Math.fround(Math.fround(map[code]! * nested[i >> 8]!) + shift));
    Object.assign(arrays, {
      bAbsmax: u8(codes),
      bNested: f32(nested),
      bMap: f32(map),
      bOffset: f32([shift]),
    });
  }
  const values = Float32Array.from({ length: n }, (_, i) => {
    const nibble = i % 2 === 0 ? packed[i >> 1]! >> 4 : packed[i >> 1]! & 15;
    return NF4_CODES[nibble]! * scales[i >> 6]!;
  });
  return {
    arrays,
    values,
    on: (s) => ({
      kind: 'nf4',
      rows,
      cols,
      packed: s['b']!,
      absmax: s['bAbsmax']!,
      ...(kind === 'nf4x2' && {
        nested: { absmax: s['bNested']!, map: s['bMap']!, offset: s['bOffset']! },
      }),
    }),
  };
}

interface Thin {
  readonly first: number;
  readonly rows: number;
  readonly k: number;
}

interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly kind: MatrixKind;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly path: 'tiles' | 'rows';
  readonly precision: 'f32' | 'bf16';
  readonly alpha?: number;
  readonly add?: 'accumulate' | 'residual' | 'in place';
  readonly bias?: boolean;
  /** k of a thin product into all rows, or several into rows of their own. */
  readonly extra?: number | readonly Thin[];
}

function gemmCase(p: Product): Case {
  const { m, n, k, transA, transB, alpha = 1 } = p;
  const extra = typeof p.extra === 'number' ? [{ first: 0, rows: m, k: p.extra }] : (p.extra ?? []);
  const b = transB ? matrix(p.kind, n, k) : matrix(p.kind, k, n);
  const a = random(m * k);
  const before = random(m * n);
  const residual = random(m * n);
  const bias = random(n);
  const thin = extra.map((e, i) => ({
    ...{ ...e, a: random(e.rows * e.k), b: random(n * e.k), alpha: -0.75 + i },
    ...{ nameOfA: `extraA${i}`, nameOfB: `extraB${i}` },
  }));
  const name = Object.entries(p)
    .map(([key, value]) => (value === true ? key : value === false ? '' : `${key} ${JSON.stringify(value)}`))
    .filter(Boolean)
    .join(', ');
  const arrays: Record<string, HostArray> = { ...b.arrays, a: f32(a), c: f32(before) };
  if (p.add === 'residual') arrays['residual'] = f32(residual);
  if (p.bias) arrays['bias'] = f32(bias);
  for (const e of thin) Object.assign(arrays, { [e.nameOfA]: f32(e.a), [e.nameOfB]: f32(e.b) });
  const addend = { residual, accumulate: before, 'in place': before, none: new Float32Array(m * n) }[
    p.add ?? 'none'
  ];

  const expected = (): { c: Float64Array } => {
    const c = Float64Array.from(addend);
    const product = (
      left: Numbers,
      right: Numbers,
      depth: number,
      factor: number,
      first = 0,
      rows = m,
    ): void => {
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let x = 0; x < depth; x++) {
            const l = left[transA ? x * rows + i : i * depth + x]!;
            sum += l * right[transB ? j * depth + x : x * n + j]!;
          }
          c[(first + i) * n + j]! += factor * sum;
        }
    };
    product(a, b.values, k, alpha);
    for (const e of thin) product(e.a, e.b, e.k, e.alpha, e.first, e.rows);
    if (p.bias) for (let i = 0; i < m * n; i++) c[i]! += bias[i % n]!;
    return { c };
  };
  const call: Case['call'] = (kernels, s) => {
    const args: GemmArgs = {
      ...{ m, n, k, transA, transB, path: p.path, precision: p.precision },
      ...{ a: s['a']!, b: b.on(s), c: s['c']! },
      ...(p.alpha !== undefined && { alpha }),
      ...(p.add === 'accumulate' && { accumulate: true }),
      ...(p.add === 'residual' && { residual: s['residual']! }),
      ...(p.add === 'in place' && { residual: s['c']! }),
      ...(p.bias && { bias: s['bias']! }),
      extra: thin.map(({ first, rows, k, alpha, nameOfA, nameOfB }) => ({
        ...{ first, rows, k, alpha, a: s[nameOfA]!, b: s[nameOfB]! },
      })),
    };
    kernels.gemm(args);
  };
  // bf16: both factors may lose all but 8 bits. The reference keeps them.
  const tolerance = p.precision === 'bf16' ? 1e-2 : undefined;
  return { name, arrays, outputs: ['c'], call, expected, tolerance };
}

/** Every kind, transposition, path and precision over odd shapes; the other flags take turns. */
function gemmCases(): Case[] {
  const shapes = [
    [1, 1, 1],
    [1, 100, 64],
    [3, 17, 100],
    [17, 64, 3],
    [5, 176, 130],
    [64, 3, 17],
    [100, 33, 65],
  ] as const;
  const adds = [undefined, 'accumulate', 'residual', 'in place'] as const;
  const cases: Case[] = [];
  let turn = 0;
  for (const kind of MATRIX_KINDS)
    for (const transB of [true, false])
      for (const precision of ['f32', 'bf16'] as const)
        for (const path of ['tiles', 'rows'] as const)
          for (const [m, n, k] of shapes) {
            if (path === 'rows' && m > 17) continue;
            const t = turn++;
            const add = adds[t % 4];
            cases.push(
              gemmCase({
                ...{ m, n, k, kind, transB, path, precision },
                transA: path === 'tiles' && t % 5 === 1,
                ...(t % 3 === 1 && { alpha: 0.3 }),
                ...(add && { add }),
                ...(t % 7 < 3 && { bias: true }),
                ...(t % 5 > 2 && { extra: [1, 4, 17][t % 3]! }),
              }),
            );
          }
  // Large enough for blocks of k and n, and for threads.
  for (const kind of MATRIX_KINDS)
    for (const transB of [true, false])
      cases.push(
        gemmCase({
          ...{ m: 130, n: 200, k: 300, kind, transB, transA: !transB, path: 'tiles', precision: 'f32' },
          extra: 8,
        }),
      );
  // Several thin products: next to each other, with rows between that have none, of other thickness.
  const bands = [
    [{ first: 0, rows: 19, k: 4 }, { first: 19, rows: 1, k: 16 }, { first: 31, rows: 39, k: 8 }],
    [{ first: 3, rows: 30, k: 100 }, { first: 40, rows: 14, k: 1 }],
  ]; // prettier-ignore
  for (const kind of ['f32', 'nf4x2', 'bf16'] as const)
    for (const precision of ['f32', 'bf16'] as const)
      for (const transB of [true, false])
        for (const [turn, extra] of bands.entries()) {
          const common = { m: 70, n: 96, k: 64, kind, precision, extra, bias: turn === 0 } as const;
          cases.push(gemmCase({ ...common, transA: false, transB, path: 'tiles' }));
          cases.push(gemmCase({ ...common, transA: false, transB, path: 'rows', add: 'residual' }));
          cases.push(
            gemmCase({ ...common, k: 256, transA: !transB, transB, path: 'tiles', add: 'accumulate' }),
          );
        }
  for (const kind of ['f32', 'nf4x2'] as const)
    cases.push(
      gemmCase({ m: 3, n: 600, k: 300, kind, transA: false, transB: true, path: 'rows', precision: 'f32' }),
    );
  // Decoding: few rows, weights as they are stored.
  for (const kind of ['nf4', 'nf4x2', 'bf16'] as const)
    for (const [turn, m] of [1, 2, 8, 9, 17, 33, 64].entries())
      for (const [n, k] of [
        [24, 64],
        [144, 512],
        [32, 1280],
        [512, 768],
      ] as const) {
        const more = [{}, { bias: true }, { extra: 8 }, { add: 'residual', alpha: 0.5 }] as const;
        const common = { transA: false, transB: true, path: 'rows', precision: 'bf16' } as const;
        cases.push(gemmCase({ ...common, m, n, k, kind, ...more[turn % 4] }));
      }
  // LoRA's products: thin in n, in k, in m.
  for (const r of [1, 8, 16, 64, 100])
    for (const accumulate of [true, false]) {
      const common = { kind: 'f32', path: 'tiles', precision: 'f32', alpha: 0.5 } as const;
      const more = { ...common, ...(accumulate && { add: 'accumulate' as const }) };
      for (const transB of [true, false]) {
        cases.push(gemmCase({ ...more, m: 70, n: r, k: 200, transA: false, transB }));
        cases.push(gemmCase({ ...more, m: 70, n: 136, k: r, transA: false, transB }));
      }
      for (const kind of ['f32', 'bf16'] as const) {
        cases.push(gemmCase({ ...more, kind, m: r, n: 136, k: 150, transA: true, transB: false }));
        cases.push(gemmCase({ ...more, kind, m: 136, n: r, k: 150, transA: true, transB: false }));
      }
    }
  return cases;
}

/** Products of one x with several weights, of one kind or of two, and one of another x between them. */
function gemmsCase(m: number, k: number, kinds: readonly MatrixKind[], ns: readonly number[]): Case {
  const a = random(m * k);
  const other = random(m * k);
  const weights = ns.map((n, i) => matrix(kinds[i % kinds.length]!, n, k));
  const bias = random(ns[0]!);
  const arrays: Record<string, HostArray> = { a: f32(a), other: f32(other), bias: f32(bias) };
  for (const [i, w] of weights.entries()) {
    arrays[`c${i}`] = unwritten(m * ns[i]!);
    for (const [name, array] of Object.entries(w.arrays)) arrays[`${name}${i}`] = array;
  }
  const products = (s: Readonly<Record<string, Span>>): GemmArgs[] =>
    weights.map((w, i) => {
      const own = Object.fromEntries(Object.keys(w.arrays).map((name) => [name, s[`${name}${i}`]!]));
      const sizes = { m, n: ns[i]!, k, transB: true, path: 'rows', precision: 'bf16' } as const;
      const x = s[i === 1 && ns.length > 3 ? 'other' : 'a']!;
      return { ...sizes, a: x, b: w.on(own), c: s[`c${i}`]!, ...(i === 0 && { bias: s['bias']! }) };
    });
  return {
    name: `m ${m}, k ${k}, ${kinds.join(' and ')}, n ${ns.join(' and ')}`,
    arrays,
    outputs: ns.map((_, i) => `c${i}`),
    call: (kernels, s) => kernels.gemms({ products: products(s) }),
    tolerance: 1e-2,
  };
}

const gemmsCases = (): Case[] => [
  ...[1, 9, 20, 64].flatMap((m) => [
    gemmsCase(m, 512, ['nf4x2'], [512, 256, 256]),
    gemmsCase(m, 768, ['nf4'], [256, 512]),
    gemmsCase(m, 256, ['nf4', 'nf4x2'], [256, 256, 256, 48]),
  ]),
  gemmsCase(5, 100, ['f32', 'bf16'], [30, 17]),
];

export const matrixCases = {
  gemm: gemmCases(),
  gemms: gemmsCases(),
};
