/** Cases of LayerNorm and of the activations of plain MLPs. */

import type { Activation } from '../../../src/backends/kernels.js';
import { define, drawFrom, f32, random, unwritten, type Case, type Numbers } from './harness.js';
import { inner, numericGradient, small } from './naive.js';

drawFrom(7000);

const GRIDS = [[1, 1], [3, 17], [17, 3], [64, 100], [5, 176], [200, 304], [3, 4544]] as const; // prettier-ignore
const BOTH = [false, true] as const;

function layerNorm(x: Numbers, w: Numbers, b: Numbers, eps: number): Record<'y' | 'mean' | 'rstd', number[]> {
  const dim = w.length;
  const [y, mean, rstd]: [number[], number[], number[]] = [[], [], []];
  for (let r = 0; r < x.length / dim; r++) {
    const row = Array.from({ length: dim }, (_, i) => x[r * dim + i]!);
    const middle = row.reduce((sum, v) => sum + v, 0) / dim;
    const squares = row.reduce((sum, v) => sum + v * v, 0) / dim;
    const scale = (squares - middle ** 2 + eps) ** -0.5;
    mean.push(middle);
    rstd.push(scale);
    y.push(...row.map((v, i) => (v - middle) * scale * w[i]! + b[i]!));
  }
  return { y, mean, rstd };
}

/** Rows whose mean is some deviations from 0. */
function layerNormCase(rows: number, dim: number): Case {
  const eps = 1e-5;
  const [x, w, b] = [random(rows * dim, -1, 3), random(dim, 0.5, 1.5), random(dim)];
  return define(
    `[${rows}, ${dim}]`,
    {
      ...{ x: f32(x), w: f32(w), b: f32(b), y: unwritten(x.length) },
      ...{ mean: unwritten(rows), rstd: unwritten(rows) },
    },
    ['y', 'mean', 'rstd'],
    (kernels, s) => kernels.layerNorm({ ...s, rows, dim, eps }),
    { expected: () => layerNorm(x, w, b, eps) },
  );
}

function layerNormBackwardCase(
  rows: number,
  dim: number,
  accumulate: boolean,
  parameters: readonly ('dw' | 'db')[],
): Case {
  const eps = 1e-3;
  const [x, w, b, dy] = [random(rows * dim, -1, 3), random(dim, 0.5, 1.5), random(dim), random(rows * dim)];
  const before = { dx: random(rows * dim), dw: random(dim), db: random(dim) };
  const { mean, rstd } = layerNorm(x, w, b, eps);
  return define(
    `[${rows}, ${dim}]${accumulate ? ', accumulated' : ''}${parameters.map((p) => `, ${p}`).join('')}`,
    {
      ...{ dy: f32(dy), x: f32(x), w: f32(w), mean: f32(mean), rstd: f32(rstd) },
      ...{ dx: f32(before.dx), dw: f32(before.dw), db: f32(before.db) },
    },
    ['dx', 'dw', 'db'],
    (kernels, { dw, db, ...s }) => {
      const wanted = { ...(parameters.includes('dw') && { dw }), ...(parameters.includes('db') && { db }) };
      kernels.layerNormBackward({ ...s, ...wanted, accumulate, rows, dim });
    },
    {
      expected: () => {
        const untouched = (['dw', 'db'] as const).filter((p) => !parameters.includes(p));
        const kept = Object.fromEntries(untouched.map((p) => [p, before[p]]));
        if (!small(x.length)) return kept;
        const loss = (x: Numbers, w: Numbers, b: Numbers): number => inner(layerNorm(x, w, b, eps).y, dy);
        const gradients = {
          dx: numericGradient(x, (v) => loss(v, w, b)),
          dw: numericGradient(w, (v) => loss(x, v, b)),
          db: numericGradient(b, (v) => loss(x, w, v)),
        };
        const sum = (p: 'dx' | 'dw' | 'db', add: boolean): Float64Array =>
          gradients[p].map((g, i) => g + (add ? before[p][i]! : 0));
        return { dx: sum('dx', accumulate), dw: sum('dw', true), db: sum('db', true), ...kept };
      },
    },
  );
}

/** The definitions' own words: the integral of the bell curve by Simpson's rule, and the hyperbolic tangent by exponentials. */
const FORMULAS: Readonly<Record<Activation, (x: number) => number>> = {
  gelu(x) {
    const steps = 400;
    const bell = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
    let sum = bell(0) + bell(x);
    for (let i = 1; i < steps; i++) sum += bell((x * i) / steps) * (i % 2 ? 4 : 2);
    return x * (0.5 + (sum * x) / steps / 3);
  },
  gelu_tanh(x) {
    const u = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
    return (x / 2) * (1 + (1 - Math.exp(-2 * u)) / (1 + Math.exp(-2 * u)));
  },
  relu: (x) => Math.max(x, 0),
};

function activateCase(n: number, activation: Activation, inPlace: boolean): Case {
  const x = random(n, -7, 7);
  const out = inPlace ? 'x' : 'y';
  return define(
    `${n}, ${activation}${inPlace ? ', in place' : ''}`,
    { x: f32(x), y: unwritten(n) },
    [out],
    (kernels, s) => kernels.activate({ x: s.x, y: s[out], n, activation }),
    { expected: () => (n > 1000 ? {} : { [out]: Array.from(x, FORMULAS[activation]) }) },
  );
}

function activateBackwardCase(n: number, activation: Activation, to: 'dx' | 'dy' | 'x'): Case {
  const [x, dy] = [random(n, -7, 7), random(n)];
  return define(
    `${n}, ${activation}, to ${to}`,
    { dy: f32(dy), x: f32(x), dx: unwritten(n) },
    [to],
    (kernels, s) => kernels.activateBackward({ dy: s.dy, x: s.x, dx: s[to], n, activation }),
    {
      expected: () =>
        small(n) ? { [to]: numericGradient(x, (v) => inner(Array.from(v, FORMULAS[activation]), dy)) } : {},
    },
  );
}

/** Far out, where exponentials overflow or vanish. */
function farCase(activation: Activation): Case {
  const x = Float32Array.of(-1e4, -90, -30, -14, -9, -5, 0, 9, 14, 30, 90, 1e4);
  return define(
    `far out, ${activation}`,
    { x: f32(x), y: unwritten(x.length) },
    ['y'],
    (kernels, s) => kernels.activate({ ...s, n: x.length, activation }),
    { expected: () => ({ y: x.map((v) => Math.max(0, v)) }) },
  );
}

const KINDS: readonly Activation[] = ['gelu', 'gelu_tanh', 'relu'];
const LENGTHS = [1, 3, 17, 64, 100, 176, 40_000] as const;

export const layerNormCases = {
  layerNorm: GRIDS.map(([rows, dim]) => layerNormCase(rows, dim)),
  layerNormBackward: [
    ...GRIDS.map(([rows, dim]) => layerNormBackwardCase(rows, dim, rows % 2 === 0, ['dw', 'db'])),
    layerNormBackwardCase(5, 20, true, []),
    layerNormBackwardCase(5, 20, false, ['db']),
    layerNormBackwardCase(70, 24, true, ['dw']),
  ],
  activate: [
    ...KINDS.flatMap((kind) => LENGTHS.flatMap((n) => BOTH.map((place) => activateCase(n, kind, place)))),
    ...KINDS.map(farCase),
  ],
  activateBackward: KINDS.flatMap((kind) =>
    LENGTHS.flatMap((n) => (['dx', 'dy', 'x'] as const).map((to) => activateBackwardCase(n, kind, to))),
  ),
};
