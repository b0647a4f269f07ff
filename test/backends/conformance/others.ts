/** Cases of losses, elementwise kernels, random ones and the optimizer. */

import type { RandomStream } from '../../../src/backends/kernels.js';
import { philox4x32 } from '../../../src/util/philox.js';
import {
  define,
  drawFrom,
  dropoutFactor,
  f32,
  floats,
  i32,
  random,
  unwritten,
  valuesOf,
  type Case,
} from './harness.js';
import { crossEntropy, inner, numericGradient, small } from './naive.js';

drawFrom(3000);

/** Of the largest number: what one rounding more or less can make of a float32. */
const LAST_PLACE = 2 ** -23;
const SIZES = [1, 3, 17, 64, 100, 176, 40_000] as const;
const GRIDS = [[1, 1], [3, 17], [17, 3], [64, 100], [5, 176], [200, 300]] as const; // prettier-ignore

function crossEntropyCase(
  rows: number,
  vocab: number,
  scale: number | undefined,
  to: 'logits' | 'gradient' = 'logits',
  smoothing?: number,
): Case {
  const logits = random(rows * vocab, -9, 9);
  const targets = Array.from({ length: rows }, (_, r) => (r % 4 === 2 ? -100 : (r * 31) % vocab));
  return define(
    `[${rows}, ${vocab}]${scale === undefined ? '' : `, gradient to ${to}`}${smoothing === undefined ? '' : `, smoothing ${smoothing}`}`,
    {
      logits: f32(logits),
      targets: i32(targets),
      losses: unwritten(rows),
      gradient: unwritten(rows * vocab),
    },
    [to, 'losses'],
    (kernels, { gradient, ...s }) =>
      kernels.crossEntropy({
        ...{ ...s, rows, vocab, smoothing },
        ...(scale !== undefined && { gradient: { to: to === 'logits' ? s.logits : gradient, scale } }),
      }),
    {
      expected: () => {
        const losses = crossEntropy(logits, targets, smoothing);
        if (scale === undefined) return { losses, logits };
        if (!small(logits.length)) return { losses };
        const total = (v: ArrayLike<number>): number =>
          crossEntropy(v, targets, smoothing).reduce((sum, loss) => sum + loss * scale, 0);
        return { losses, [to]: numericGradient(logits, total) };
      },
    },
  );
}

function argmaxCase(rows: number, cols: number): Case {
  const x = random(rows * cols);
  // The largest of some rows stands there twice.
  for (let r = 0; r < rows; r += 2) for (const c of [cols - 1, cols >> 1]) x[r * cols + c] = 2;
  return define(
    `[${rows}, ${cols}]`,
    { x: f32(x), out: i32(new Int32Array(rows).fill(-7)) },
    ['out'],
    (kernels, s) => kernels.argmax({ ...s, rows, cols }),
    {
      expected: () => ({
        out: Array.from({ length: rows }, (_, r) => {
          const row = x.subarray(r * cols, (r + 1) * cols);
          return row.indexOf(Math.max(...row));
        }),
      }),
    },
  );
}

/** `kind`: logits without order, or of a few values, or with values that are no numbers. */
function sampleCase(
  rows: number,
  vocab: number,
  options: { temperature: number; topK: number; topP: number },
  kind: 'any' | 'ties' | 'equal' | 'strange' = 'any',
): Case {
  const logits = random(rows * vocab, -6, 6).map((x) =>
    kind === 'ties' ? Math.round(x / 2) : kind === 'equal' ? 1 : x,
  );
  if (kind === 'strange') for (let i = 1; i < logits.length; i += 3) logits[i] = i % 2 ? NaN : -Infinity;
  const draws = Int32Array.from({ length: rows }, (_, r) =>
    r === 0 ? 0 : r === 1 ? -1 : (r * 0x9e3779b9) | 0,
  );
  return define(
    `[${rows}, ${vocab}], ${JSON.stringify(options)}, ${kind}`,
    { logits: f32(logits), draws: i32(draws), out: i32(new Int32Array(rows).fill(-7)) },
    ['out'],
    (kernels, s) => kernels.sample({ ...s, rows, vocab, ...options }),
    {
      // By the inverse of the distribution function over a sorted row, in floating point: draws at its edges are not asked for.
      ...(kind === 'any' && {
        expected: () => ({
          out: Array.from(draws, (draw, r) => {
            const row = logits.subarray(r * vocab, (r + 1) * vocab);
            const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]!);
            const top = order.slice(0, options.topK || vocab);
            const weights = top.map((id) => Math.exp((row[id]! - row[top[0]!]!) / options.temperature));
            const total = weights.reduce((a, b) => a + b, 0);
            let mass = 0;
            const kept = weights.filter((w, i) => {
              const keep = i === 0 || mass < options.topP * total;
              mass += keep ? w : 0;
              return keep;
            });
            let left = ((draw >>> 0) / 2 ** 32) * mass;
            const at = kept.findIndex((w) => (left -= w) < 0);
            return top[at < 0 ? kept.length - 1 : at]!;
          }),
        }),
      }),
    },
  );
}

function sumRowsCase(rows: number, cols: number, accumulate: boolean): Case {
  const [x, y] = [random(rows * cols), random(cols)];
  return define(
    `[${rows}, ${cols}]${accumulate ? ', accumulated' : ''}`,
    { x: f32(x), y: f32(y) },
    ['y'],
    (kernels, s) => kernels.sumRows({ ...s, rows, cols, accumulate }),
    {
      expected: () => ({
        y: Array.from(y, (before, c) => {
          let sum = accumulate ? before : 0;
          for (let r = 0; r < rows; r++) sum += x[r * cols + c]!;
          return sum;
        }),
      }),
    },
  );
}

const STREAM: RandomStream = { seed: 0xdeadbeef, stream: 3_000_000_000, step: 12 };

function word(element: number, { seed, stream, step }: RandomStream): number {
  const block = Math.floor(element / 4);
  return philox4x32([block % 2 ** 32, Math.floor(block / 2 ** 32), step, 0], [seed, stream])[element % 4]!;
}

function dropoutCase(
  n: number,
  p: number,
  firstElement: number,
  form: 'new' | 'in place' | 'accumulated',
): Case {
  const [x, y] = [random(n), random(n)];
  const out = form === 'in place' ? 'x' : 'y';
  return define(
    `${n} from element ${firstElement}, p ${p}, ${form}`,
    { x: f32(x), y: f32(y) },
    [out],
    (kernels, s) => {
      const more = { n, p, random: STREAM, firstElement, accumulate: form === 'accumulated' };
      kernels.dropout({ x: s.x, y: s[out], ...more });
    },
    {
      expected: () => ({
        [out]: Array.from(x, (v, i) => {
          const kept = Math.fround(v * dropoutFactor({ p, random: STREAM, firstElement }, i));
          return form === 'accumulated' ? kept + y[i]! : kept;
        }),
      }),
      // The product may be fused with the sum.
      ...(form === 'accumulated' && { tolerance: LAST_PLACE }),
    },
  );
}

function normalCase(dtype: 'f32' | 'bf16' | 'f16', n: number): Case {
  return define(
    `${n} ${dtype}`,
    { y: unwritten(n, dtype) },
    ['y'],
    (kernels, s) => kernels.fillNormal({ ...s, n, deviation: 0.5, random: STREAM }),
    {
      expected: () => ({
        y: Array.from({ length: n }, (_, i) => {
          const radius = 0.5 * Math.sqrt(-2 * Math.log((word(i - (i % 2), STREAM) + 0.5) / 2 ** 32));
          const angle = (2 * Math.PI * word(i - (i % 2) + 1, STREAM)) / 2 ** 32;
          return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
        }),
      }),
      // Another last bit before the rounding may end on the other side of it.
      ...(dtype !== 'f32' && { tolerance: 4e-3 }),
    },
  );
}

function noiseCase(rows: number, dim: number, onZeros: boolean): Case {
  const x = onZeros ? new Float32Array(rows * dim) : random(rows * dim);
  const magnitude = random(rows, 0.1, 2);
  return define(
    `[${rows}, ${dim}]${onZeros ? ' on zeros' : ''}`,
    { x: f32(x), magnitude: f32(magnitude) },
    ['x'],
    (kernels, s) => kernels.addUniformNoise({ ...s, rows, dim, random: STREAM }),
    {
      expected: () => ({
        x: Array.from(x, (v, i) => {
          const u = (word(i, STREAM) >>> 8) * 2 ** -23 - 1;
          return Math.fround(v + magnitude[Math.floor(i / dim)]! * u);
        }),
      }),
      // The product may be rounded before the sum, or not.
      ...(!onZeros && { tolerance: LAST_PLACE }),
    },
  );
}

function adamwCase(n: number, step: number, weightDecay: number, scale = 0.3): Case {
  const param = random(n);
  const grad = random(n, -1e-2, 1e-2);
  const m = step === 1 ? new Float32Array(n) : random(n, -1e-2, 1e-2);
  const v = step === 1 ? new Float32Array(n) : random(n, 0, 1e-4);
  const [lr, beta1, beta2, eps] = [1e-2, 0.9, 0.999, 1e-8];
  return define(
    `${n}, step ${step}, decay ${weightDecay}, gradient times ${scale}`,
    { param: f32(param), grad: f32(grad), m: f32(m), v: f32(v), gradScale: f32([scale]) },
    ['param', 'm', 'v'],
    (kernels, s) => kernels.adamw({ ...s, n, lr, beta1, beta2, eps, weightDecay, step }),
    {
      expected: () => {
        if (Number.isNaN(scale)) return { param, m, v };
        const g = Array.from(grad, (x) => x * Math.fround(scale));
        const mean = g.map((x, i) => beta1 * m[i]! + (1 - beta1) * x);
        const square = g.map((x, i) => beta2 * v[i]! + (1 - beta2) * x * x);
        return {
          m: mean,
          v: square,
          param: Array.from(param, (x, i) => {
            const mHat = mean[i]! / (1 - beta1 ** step);
            const vHat = square[i]! / (1 - beta2 ** step);
            return x - lr * weightDecay * x - (lr * mHat) / (Math.sqrt(vHat) + eps);
          }),
        };
      },
    },
  );
}

function elementwise(kernel: 'add' | 'scale' | 'fill' | 'copy', n: number, inPlace: boolean): Case {
  const [a, b] = [random(n), random(n)];
  const out = inPlace ? 'a' : 'y';
  const alpha = 0.3;
  return define(
    `${n}${inPlace ? ', in place' : ''}`,
    { a: f32(a), b: f32(b), y: unwritten(n) },
    [out],
    (kernels, s) => {
      const y = s[out];
      if (kernel === 'add') kernels.add({ a: s.a, b: s.b, y, n });
      else if (kernel === 'scale') kernels.scale({ x: s.a, y, n, alpha });
      else if (kernel === 'copy') kernels.copy({ x: s.a, y, n });
      else kernels.fill({ y, n, value: alpha });
    },
    {
      expected: () => ({
        [out]: a.map(
          (v, i) => ({ add: v + b[i]!, scale: v * Math.fround(alpha), copy: v, fill: alpha })[kernel],
        ),
      }),
    },
  );
}

function copyOtherTypes(n: number): Case[] {
  const ids = random(n, -1e6, 1e6);
  return [i32(ids), floats('bf16', random(n))].map((x) =>
    define(
      `${n} ${x.dtype}`,
      { x, y: { dtype: x.dtype, data: x.data.slice().fill(5) } },
      ['y'],
      (kernels, s) => kernels.copy({ ...s, n }),
      { expected: () => ({ y: valuesOf(x) }) },
    ),
  );
}

function sumSquaresCase(n: number, accumulate: boolean): Case {
  const x = random(n, -3, 3);
  return define(
    `${n}${accumulate ? ', accumulated' : ''}`,
    { x: f32(x), out: f32([5]) },
    ['out'],
    (kernels, s) => kernels.sumSquares({ ...s, n, accumulate }),
    { expected: () => ({ out: [inner(x, x) + (accumulate ? 5 : 0)] }) },
  );
}

function clipCase(squares: number, maxNorm: number): Case {
  return define(
    `norm² ${squares}, at most ${maxNorm}`,
    { sumSquares: f32([squares]), out: unwritten(1) },
    ['out'],
    (kernels, s) => kernels.clipCoefficient({ ...s, maxNorm }),
    {
      expected: () => ({
        out: [Number.isFinite(squares) ? Math.min(1, maxNorm / (Math.sqrt(squares) + 1e-6)) : NaN],
      }),
    },
  );
}

const BOTH = [false, true] as const;

export const otherCases = {
  fillNormal: (['f32', 'bf16', 'f16'] as const).flatMap((dtype) =>
    [1, 17, 40_001].map((n) => normalCase(dtype, n)),
  ),
  addUniformNoise: GRIDS.flatMap(([rows, dim]) => BOTH.map((zeros) => noiseCase(rows, dim, zeros))),
  crossEntropy: [
    ...GRIDS.flatMap(([rows, vocab]) =>
      [undefined, 0.25].map((scale) => crossEntropyCase(rows, vocab, scale)),
    ),
    crossEntropyCase(3, 5000, 1),
    crossEntropyCase(3, 5000, 0.5, 'gradient'),
    crossEntropyCase(17, 33, 0.5, 'gradient'),
    ...GRIDS.map(([rows, vocab]) => crossEntropyCase(rows, vocab, 0.25, 'logits', 0.1)),
    crossEntropyCase(3, 5000, undefined, 'logits', 0.25),
    crossEntropyCase(3, 5000, 0.5, 'gradient', 0.25),
    crossEntropyCase(17, 33, 0.5, 'gradient', 0.9),
  ],
  argmax: GRIDS.map(([rows, cols]) => argmaxCase(rows, cols)),
  sample: [
    ...[0, 1, 5, 40, 2000].flatMap((topK) =>
      [1, 0.9, 0.3, 0].map((topP, i) =>
        sampleCase(9, 1000, { temperature: [1, 0.7, 1.5, 0.1][i]!, topK, topP }),
      ),
    ),
    ...(['ties', 'equal', 'strange'] as const).flatMap((kind) =>
      [0, 7].flatMap((topK) =>
        [1, 0.5].map((topP) => sampleCase(40, 300, { temperature: 0.8, topK, topP }, kind)),
      ),
    ),
    sampleCase(1, 1, { temperature: 1, topK: 0, topP: 1 }),
    sampleCase(3, 32_000, { temperature: 1, topK: 50, topP: 0.95 }),
  ],
  add: SIZES.flatMap((n) => BOTH.map((inPlace) => elementwise('add', n, inPlace))),
  scale: SIZES.flatMap((n) => BOTH.map((inPlace) => elementwise('scale', n, inPlace))),
  copy: [...SIZES.map((n) => elementwise('copy', n, false)), ...SIZES.flatMap(copyOtherTypes)],
  fill: SIZES.map((n) => elementwise('fill', n, false)),
  sumRows: GRIDS.flatMap(([rows, cols]) => BOTH.map((accumulate) => sumRowsCase(rows, cols, accumulate))),
  dropout: [
    dropoutCase(1, 0.5, 0, 'new'),
    dropoutCase(17, 0.1, 3, 'new'),
    dropoutCase(100, 0.1, 2 ** 35 - 50, 'in place'),
    dropoutCase(176, 0.5, 1, 'accumulated'),
    dropoutCase(64, 0, 0, 'new'),
    dropoutCase(40_000, 0.3, 12_345, 'new'),
  ],
  sumSquares: SIZES.flatMap((n) => BOTH.map((accumulate) => sumSquaresCase(n, accumulate))),
  clipCoefficient: [
    clipCase(0, 0.3),
    clipCase(0.01, 0.3),
    clipCase(100, 0.3),
    clipCase(9, Infinity),
    clipCase(NaN, 0.3),
    clipCase(Infinity, Infinity),
  ],
  adamw: [
    adamwCase(1, 1, 0),
    adamwCase(17, 1, 0.01),
    adamwCase(100, 7, 0.01),
    adamwCase(40_000, 1000, 0.1),
    adamwCase(17, 3, 0.1, NaN),
  ],
};
