/** Cases of what weights go through: NF4 and conversions. */

import { dynamicMap, quantizeScales } from '../../../src/util/double-quant.js';
import { NF4_CODES } from '../../../src/util/nf4.js';
import {
  define,
  drawFrom,
  f32,
  floats,
  random,
  u8,
  unwritten,
  valuesOf,
  type Case,
  type HostArray,
} from './harness.js';
import { matrix } from './matrices.js';

drawFrom(6000);

const TYPES = ['f32', 'bf16', 'f16'] as const;

function quantizeCase(dtype: 'f32' | 'bf16' | 'f16', n: number): Case {
  const values = random(n, -3, 3);
  values.fill(0, 64, 128);
  const x = floats(dtype, values);
  const blocks = Math.ceil(n / 64);
  const arrays = { x, packed: u8(new Uint8Array(Math.ceil(n / 2)).fill(99)), absmax: unwritten(blocks) };
  return define(
    `${dtype} ${n}`,
    arrays,
    ['packed', 'absmax'],
    (kernels, s) => kernels.quantizeNf4({ x: s.x, n, packed: s.packed, absmax: s.absmax }),
    {
      expected: () => {
        const source = Array.from(valuesOf(x));
        const absmax = Array.from({ length: blocks }, (_, b) =>
          Math.max(...source.slice(b * 64, b * 64 + 64).map(Math.abs)),
        );
        const codes = source.map((v, i) => nearestCode(v / (absmax[i >> 6]! || 1)));
        if (n % 2) codes.push(0);
        const packed = Array.from(
          { length: codes.length / 2 },
          (_, i) => codes[2 * i]! * 16 + codes[2 * i + 1]!,
        );
        return { absmax, packed };
      },
    },
  );
}

function nearestCode(x: number): number {
  const distances = Array.from(NF4_CODES, (code) => Math.abs(code - x));
  return distances.indexOf(Math.min(...distances));
}

function dequantizeCase(kind: 'nf4' | 'nf4x2', dtype: 'f32' | 'bf16', rows: number, cols: number): Case {
  const w = matrix(kind, rows, cols);
  const arrays: Record<string, HostArray> = { ...w.arrays, y: unwritten(rows * cols, dtype) };
  return {
    name: `${kind} [${rows}, ${cols}] to ${dtype}`,
    arrays,
    outputs: ['y'],
    call: (kernels, s) => {
      const on = w.on(s);
      if (on.kind === 'nf4') kernels.dequantizeNf4({ w: on, y: s['y']! });
    },
    expected: () => ({ y: valuesOf(floats(dtype, Float32Array.from(w.values))) }),
  };
}

/** Values at the edges of the formats: ties, the largest, the smallest, none. */
const EDGES = [
  0, -0, 1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65504, 65519.99, 65520, 3.4e38, -3.4e38, Infinity,
  -Infinity, NaN, 2 ** -14, 2 ** -24, 2 ** -25, 1.5 * 2 ** -24, 1e-40, -1e-45,
]; // prettier-ignore

function convertCase(from: 'f32' | 'bf16' | 'f16', to: 'f32' | 'bf16' | 'f16', n: number): Case {
  const x = floats(from, Float32Array.from([...EDGES, ...random(n, -100, 100)]).slice(0, n));
  return define(
    `${from} to ${to}, ${n}`,
    { x, y: unwritten(n, to) },
    ['y'],
    (kernels, s) => kernels.convert({ x: s.x, y: s.y, n }),
    { expected: () => ({ y: valuesOf(floats(to, Float32Array.from(valuesOf(x)))) }) },
  );
}

function scalesCase(n: number, spread: number): Case {
  const absmax = random(n, 1, 1 + spread);
  return define(
    `${n}, spread ${spread}`,
    {
      absmax: f32(absmax),
      map: f32(dynamicMap()),
      codes: u8(new Uint8Array(n).fill(99)),
      scales: unwritten(Math.ceil(n / 256)),
      offset: unwritten(1),
    },
    ['codes', 'scales', 'offset'],
    (kernels, s) => kernels.quantizeScales({ ...s, n }),
    {
      expected: () => {
        const { codes, scales, offset } = quantizeScales(absmax, dynamicMap());
        return { codes, scales, offset: [offset] };
      },
    },
  );
}

export const weightCases = {
  quantizeNf4: TYPES.flatMap((type) => [1, 63, 64, 1000, 40_001].map((n) => quantizeCase(type, n))),
  quantizeScales: [scalesCase(1, 1), scalesCase(255, 1), scalesCase(1000, 0), scalesCase(70_001, 2)],
  dequantizeNf4: (['nf4', 'nf4x2'] as const).flatMap((kind) =>
    (['f32', 'bf16'] as const).flatMap((dtype) =>
      (
        [
          [1, 1],
          [3, 17],
          [17, 100],
          [250, 176],
        ] as const
      ).map(([r, c]) => dequantizeCase(kind, dtype, r, c)),
    ),
  ),
  convert: TYPES.flatMap((from) =>
    TYPES.flatMap((to) => [3, 100, 40_000].map((n) => convertCase(from, to, n))),
  ),
};
