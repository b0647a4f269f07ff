/** Cases of RMSNorm and of gated units. */

import type { GateActivation } from '../../../src/backends/kernels.js';
import { define, drawFrom, f32, random, unwritten, type Case } from './harness.js';
import { gatedUnit, inner, numericGradient, small, rmsNorm } from './naive.js';

drawFrom(4000);

const SIZES = [1, 3, 17, 64, 100, 176, 40_000] as const;
const BOTH = [false, true] as const;
/** Rows of heads among them. */
const NORM_GRIDS = [[1, 1], [3, 17], [17, 3], [64, 100], [5, 176], [200, 300], [67, 128], [45, 256], [3, 4096]] as const; // prettier-ignore
const OFFSETS = [0, 1] as const;
const GATES = ['silu', 'gelu_tanh'] as const;
/** Gates so far out that a power or an exponential of theirs overflows. */
const FAR = Float32Array.from([9, 11, 30, 90, 1e3, 1e10, 1e30, 3e38].flatMap((x) => [x, -x]));

/**
 * How far out gates are: the largest result is the measure, and for one far out alone, that is a number that e^x of a rounded x makes no
 * better than 2^-24 · |x|.
 */
const reachOf = (n: number, most: number): number => (n === 1 ? 3 : most);

/** Weights that are kept less 1 are as far from 0 as the others are from 1. */
function normWeights(dim: number, offset: 0 | 1): Float32Array {
  return random(dim, 0.5 - offset, 1.5 - offset);
}

function rmsNormCase(rows: number, dim: number, weightOffset: 0 | 1): Case {
  const eps = 1e-5;
  const x = random(rows * dim, -3, 3);
  const w = normWeights(dim, weightOffset);
  return define(
    `[${rows}, ${dim}]${weightOffset ? ', weights from 1' : ''}`,
    { x: f32(x), w: f32(w), y: unwritten(x.length), rstd: unwritten(rows) },
    ['y', 'rstd'],
    (kernels, s) => kernels.rmsNorm({ ...s, weightOffset, rows, dim, eps }),
    { expected: () => rmsNorm(x, w, weightOffset, eps) },
  );
}

function rmsNormBackwardCase(
  rows: number,
  dim: number,
  weightOffset: 0 | 1,
  accumulate: boolean,
  withDw: boolean,
): Case {
  const eps = 1e-3;
  const x = random(rows * dim, -3, 3);
  const w = normWeights(dim, weightOffset);
  const dy = random(rows * dim);
  const dx = random(rows * dim);
  const dw = random(dim);
  const norm = (x: ArrayLike<number>, w: ArrayLike<number>): ReturnType<typeof rmsNorm> =>
    rmsNorm(x, w, weightOffset, eps);
  const words = [accumulate && 'accumulated', withDw && 'with dw', weightOffset && 'weights from 1'];
  return define(
    [`[${rows}, ${dim}]`, ...words.filter(Boolean)].join(', '),
    { dy: f32(dy), x: f32(x), w: f32(w), rstd: f32(norm(x, w).rstd), dx: f32(dx), dw: f32(dw) },
    ['dx', 'dw'],
    (kernels, { dw: dwSpan, ...s }) =>
      kernels.rmsNormBackward({
        ...{ ...s, weightOffset, accumulate, rows, dim },
        ...(withDw && { dw: dwSpan }),
      }),
    {
      expected: () => {
        const wanted = { dw: dw as ArrayLike<number> };
        if (!small(x.length)) return withDw ? {} : wanted;
        const gradient = numericGradient(x, (v) => inner(norm(v, w).y, dy));
        if (withDw) wanted.dw = numericGradient(w, (v) => inner(norm(x, v).y, dy)).map((g, i) => g + dw[i]!);
        return { ...wanted, dx: gradient.map((g, i) => g + (accumulate ? dx[i]! : 0)) };
      },
    },
  );
}

function gatedUnitCase(activation: GateActivation, gate: Float32Array): Case {
  const n = gate.length;
  const up = random(n);
  return define(
    `${activation}, ${n}`,
    { gate: f32(gate), up: f32(up), y: unwritten(n) },
    ['y'],
    (kernels, s) => kernels.gatedUnit({ ...s, activation, n }),
    { expected: () => ({ y: gatedUnit(activation, gate, up) }) },
  );
}

function gatedUnitBackwardCase(activation: GateActivation, gate: Float32Array, inPlace: boolean): Case {
  const n = gate.length;
  const [up, dy] = [random(n), random(n)];
  const unit = (gate: ArrayLike<number>, up: ArrayLike<number>): number[] => gatedUnit(activation, gate, up);
  return define(
    `${activation}, ${n}${inPlace ? ', in place' : ''}`,
    { dy: f32(dy), gate: f32(gate), up: f32(up), dGate: unwritten(n), dUp: unwritten(n) },
    inPlace ? ['gate', 'up'] : ['dGate', 'dUp'],
    (kernels, s) =>
      kernels.gatedUnitBackward({
        ...{ ...s, activation, n },
        ...(inPlace && { dGate: s.gate, dUp: s.up }),
      }),
    {
      expected: () => {
        if (!small(n) || gate === FAR) return {};
        return {
          [inPlace ? 'gate' : 'dGate']: numericGradient(gate, (v) => inner(unit(v, up), dy)),
          [inPlace ? 'up' : 'dUp']: numericGradient(up, (v) => inner(unit(gate, v), dy)),
        };
      },
    },
  );
}

export const rmsNormCases = {
  rmsNorm: NORM_GRIDS.flatMap(([rows, dim]) => OFFSETS.map((offset) => rmsNormCase(rows, dim, offset))),
  rmsNormBackward: [
    ...NORM_GRIDS.flatMap(([rows, dim]) =>
      OFFSETS.map((offset) => rmsNormBackwardCase(rows, dim, offset, rows % 2 === 0, rows % 3 !== 0)),
    ),
    rmsNormBackwardCase(5, 20, 0, true, true),
    rmsNormBackwardCase(5, 20, 1, false, false),
  ],
  gatedUnit: GATES.flatMap((activation) =>
    [...SIZES.map((n) => random(n, -reachOf(n, 12), reachOf(n, 12))), FAR].map((gate) =>
      gatedUnitCase(activation, gate),
    ),
  ),
  gatedUnitBackward: GATES.flatMap((activation) =>
    [...SIZES.map((n) => random(n, -reachOf(n, 8), reachOf(n, 8))), FAR].flatMap((gate) =>
      BOTH.map((inPlace) => gatedUnitBackwardCase(activation, gate, inPlace)),
    ),
  ),
};
