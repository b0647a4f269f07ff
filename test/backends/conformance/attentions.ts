/** Cases of attention, over sequences and over a cache, and of rotary embedding. */

import type { Span } from '../../../src/backends/span.js';
import type { AttentionShape } from '../../../src/backends/kernels.js';
import {
  define,
  drawFrom,
  f32,
  floats,
  i32,
  random,
  unwritten,
  valuesOf,
  type Case,
  type HostArray,
} from './harness.js';
import { attention, attentionScale, inner, numericGradient, type Heads, type More } from './naive.js';

drawFrom(2000);

type Layout = 'whole' | 'packed' | 'padded' | 'padded left' | 'packed and padded';

function segmentsOf(layout: Layout, batch: number, length: number): Int32Array {
  return Int32Array.from({ length: batch * length }, (_, at) => {
    const [b, i] = [Math.floor(at / length), at % length];
    const cut = Math.floor((length * (b + 2)) / (b + 4));
    if (layout === 'whole') return 0;
    if (layout === 'padded') return i < cut ? 0 : -1;
    if (layout === 'padded left') return i < length - cut ? -1 : 0;
    if (layout === 'packed and padded' && i >= length - 2 - b) return -1;
    return Math.floor(Math.sqrt(i * (b + 1)));
  });
}

interface Shape extends Heads {
  readonly layout: Layout;
}

const SHAPES: readonly Shape[] = [
  { batch: 1, length: 1, heads: 1, kvHeads: 1, headDim: 1, window: 0, layout: 'whole' },
  { batch: 2, length: 7, heads: 4, kvHeads: 2, headDim: 3, window: 0, layout: 'whole' },
  { batch: 2, length: 7, heads: 3, kvHeads: 1, headDim: 4, window: 3, layout: 'packed and padded' },
  { batch: 1, length: 9, heads: 2, kvHeads: 2, headDim: 2, window: 1, layout: 'packed' },
  { batch: 2, length: 6, heads: 2, kvHeads: 1, headDim: 2, window: 0, layout: 'padded left' },
  { batch: 1, length: 17, heads: 3, kvHeads: 1, headDim: 17, window: 5, layout: 'whole' },
  { batch: 2, length: 64, heads: 4, kvHeads: 4, headDim: 64, window: 0, layout: 'packed' },
  { batch: 3, length: 33, heads: 6, kvHeads: 2, headDim: 16, window: 0, layout: 'padded' },
  { batch: 1, length: 100, heads: 2, kvHeads: 1, headDim: 100, window: 17, layout: 'packed and padded' },
  { batch: 1, length: 176, heads: 2, kvHeads: 2, headDim: 8, window: 64, layout: 'padded left' },
  { batch: 2, length: 130, heads: 4, kvHeads: 2, headDim: 32, window: 0, layout: 'whole' },
  // Falcon-7B's heads, and those of RedPajama-3B.
  { batch: 1, length: 70, heads: 71, kvHeads: 1, headDim: 64, window: 0, layout: 'packed' },
  { batch: 1, length: 70, heads: 2, kvHeads: 2, headDim: 80, window: 0, layout: 'packed' },
  // A whole segment at once, biases by distance, and both. Reaches shorter and longer than the sequence.
  ...(
    [
      { batch: 2, length: 7, heads: 4, kvHeads: 2, headDim: 3, layout: 'whole' },
      { batch: 2, length: 9, heads: 2, kvHeads: 2, headDim: 2, layout: 'packed and padded', reach: 3 },
      { batch: 2, length: 6, heads: 2, kvHeads: 1, headDim: 4, layout: 'padded left', reach: 9 },
      { batch: 1, length: 200, heads: 2, kvHeads: 2, headDim: 64, layout: 'packed and padded', reach: 33 },
      { batch: 3, length: 67, heads: 2, kvHeads: 1, headDim: 64, layout: 'padded left', reach: 1 },
      { batch: 2, length: 150, heads: 4, kvHeads: 2, headDim: 80, layout: 'whole' },
      { batch: 1, length: 130, heads: 2, kvHeads: 2, headDim: 128, layout: 'padded', reach: 200 },
      { batch: 1, length: 100, heads: 2, kvHeads: 1, headDim: 256, layout: 'packed', reach: 40 },
    ] as const
  ).map((shape) => ({ ...shape, window: 0, causal: false })),
  { batch: 2, length: 8, heads: 2, kvHeads: 1, headDim: 3, window: 0, layout: 'packed', reach: 3 },
  { batch: 1, length: 140, heads: 2, kvHeads: 1, headDim: 96, window: 0, layout: 'packed', reach: 20 },
  { batch: 1, length: 190, heads: 4, kvHeads: 2, headDim: 64, window: 70, layout: 'padded left', reach: 90 },
  // Cross attention, with segments that only one of the sequences has.
  ...(
    [
      { batch: 2, length: 7, keyLength: 5, heads: 4, kvHeads: 2, headDim: 3, layout: 'whole' },
      { batch: 2, length: 9, keyLength: 4, heads: 2, kvHeads: 1, headDim: 2, layout: 'packed' },
      { batch: 2, length: 4, keyLength: 9, heads: 2, kvHeads: 2, headDim: 3, layout: 'packed and padded' },
      {
        batch: 1,
        length: 150,
        keyLength: 210,
        heads: 2,
        kvHeads: 2,
        headDim: 64,
        layout: 'packed and padded',
      },
      { batch: 2, length: 131, keyLength: 70, heads: 2, kvHeads: 1, headDim: 128, layout: 'padded' },
      { batch: 1, length: 40, keyLength: 90, heads: 2, kvHeads: 1, headDim: 256, layout: 'padded left' },
    ] as const
  ).map((shape) => ({ ...shape, window: 0 })),
];

const nameOf = (s: object): string =>
  Object.entries(s)
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ');

interface Problem extends More {
  readonly segments: Int32Array;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

function problem(s: Shape): Problem {
  const { keyLength = s.length } = s;
  const keys = s.batch * keyLength * s.kvHeads * s.headDim;
  return {
    segments: segmentsOf(s.layout, s.batch, s.length),
    q: random(s.batch * s.length * s.heads * s.headDim, -2, 2),
    k: random(keys, -2, 2),
    v: random(keys),
    keySegments: s.keyLength === undefined ? undefined : segmentsOf(s.layout, s.batch, keyLength),
    bias: s.reach === undefined ? undefined : random(s.heads * (2 * s.reach - 1), -2, 2),
  };
}

/** A problem's arrays; what a shape does not have is a number that nobody reads. */
function arraysOf({
  segments,
  q,
  k,
  v,
  keySegments = [0],
  bias = [0],
}: Problem): Record<'segments' | 'q' | 'k' | 'v' | 'keySegments' | 'values', HostArray> {
  return {
    ...{ segments: i32(segments), q: f32(q), k: f32(k), v: f32(v) },
    ...{ keySegments: i32(keySegments), values: f32(bias) },
  };
}

/** How the kernels are told of a shape. */
function shapeOf(
  s: Shape,
  { segments, keySegments, values }: Readonly<Record<'segments' | 'keySegments' | 'values', Span>>,
): AttentionShape {
  const { batch, length, heads, kvHeads, headDim, window, reach, keyLength } = s;
  const { causal = keyLength === undefined } = s;
  return {
    ...{ batch, length, heads, kvHeads, headDim, window, causal, segments, scale: attentionScale(s) },
    ...(keyLength !== undefined && { keys: { length: keyLength, segments: keySegments } }),
    ...(reach !== undefined && { bias: { values, reach } }),
  };
}

function forwardCase(s: Shape): Case {
  const given = problem(s);
  const { segments, q, k, v } = given;
  return define(
    nameOf(s),
    { ...arraysOf(given), out: unwritten(q.length), lse: unwritten(q.length / s.headDim) },
    ['out', 'lse'],
    (kernels, spans) => kernels.attention({ ...shapeOf(s, spans), ...spans }),
    { expected: () => attention(s, segments, q, k, v, given) },
  );
}

function backwardCase(s: Shape): Case {
  const given = problem(s);
  const { segments, q, k, v, bias } = given;
  const dOut = random(q.length);
  const { out, lse } = attention(s, segments, q, k, v, given);
  const before = random(bias ? bias.length : 1);
  const small = q.length <= 200;
  return define(
    nameOf(s),
    {
      ...{ ...arraysOf(given), out: f32(out), lse: f32(lse), dOut: f32(dOut), dBias: f32(before) },
      ...{ dq: unwritten(q.length), dk: unwritten(k.length), dv: unwritten(v.length) },
    },
    bias ? ['dq', 'dk', 'dv', 'dBias'] : ['dq', 'dk', 'dv'],
    (kernels, { dBias, ...spans }) =>
      kernels.attentionBackward({ ...shapeOf(s, spans), ...spans, ...(bias && { dBias }) }),
    {
      expected: small
        ? () => ({
            dq: numericGradient(q, (x) => inner(attention(s, segments, x, k, v, given).out, dOut)),
            dk: numericGradient(k, (x) => inner(attention(s, segments, q, x, v, given).out, dOut)),
            dv: numericGradient(v, (x) => inner(attention(s, segments, q, k, x, given).out, dOut)),
            ...(bias && {
              dBias: numericGradient(bias, (x) =>
                inner(attention(s, segments, q, k, v, { ...given, bias: x }).out, dOut),
              ).map((sum, i) => sum + before[i]!),
            }),
          })
        : undefined,
      // One value for all distances: a row of the scores' gradient sums to 0, and of terms of some hundreds in all rounding is left.
      ...(s.reach === 1 && { tolerance: 2e-5 }),
    },
  );
}

interface Cache {
  readonly positions: readonly number[];
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly window: number;
  readonly dtype: 'f32' | 'bf16';
  readonly reach?: number;
}

const CACHES: readonly Cache[] = [
  { positions: [0], heads: 1, kvHeads: 1, headDim: 1, window: 0, dtype: 'f32' },
  { positions: [3, 0, 16], heads: 4, kvHeads: 2, headDim: 17, window: 0, dtype: 'f32' },
  { positions: [99, 63, 64, 65, 1], heads: 6, kvHeads: 2, headDim: 64, window: 0, dtype: 'f32' },
  { positions: [175, 64, 5], heads: 4, kvHeads: 4, headDim: 16, window: 17, dtype: 'f32' },
  { positions: [128, 17], heads: 4, kvHeads: 1, headDim: 100, window: 0, dtype: 'bf16' },
  { positions: [70, 33, 2, 100], heads: 8, kvHeads: 2, headDim: 32, window: 64, dtype: 'bf16' },
  { positions: [40, 3], heads: 71, kvHeads: 1, headDim: 64, window: 0, dtype: 'bf16' },
  { positions: [3, 0, 16], heads: 4, kvHeads: 2, headDim: 17, window: 0, dtype: 'f32', reach: 5 },
  { positions: [299, 63, 64, 1], heads: 6, kvHeads: 2, headDim: 64, window: 0, dtype: 'f32', reach: 40 },
  { positions: [70, 33, 2, 100], heads: 8, kvHeads: 2, headDim: 32, window: 64, dtype: 'bf16', reach: 200 },
];

/** Rows lie in slots in another order than their own; what was never written is NaN. */
function cachedCase(c: Cache): Case {
  const { positions, heads, kvHeads, headDim, window, dtype, reach } = c;
  const rows = positions.length;
  const slots = rows + 1;
  const capacity = Math.max(...positions) + 2;
  const dim = kvHeads * headDim;
  const slotOf = positions.map((_, r) => (r + 2) % slots);
  const q = random(rows * heads * headDim, -2, 2);
  const bias = reach === undefined ? undefined : random(heads * (2 * reach - 1), -2, 2);
  const [keys, values] = [0, 1].map(() => {
    const cache = new Float32Array(slots * capacity * dim).fill(NaN);
    for (let r = 0; r < rows; r++) cache.set(random((positions[r]! + 1) * dim), slotOf[r]! * capacity * dim);
    return floats(dtype, cache);
  }) as [ReturnType<typeof floats>, ReturnType<typeof floats>];
  return define(
    nameOf(c),
    {
      ...{ q: f32(q), keys, values, slotOf: i32(slotOf), positions: i32(positions) },
      ...{ distances: f32(bias ?? [0]), out: unwritten(q.length) },
    },
    ['out'],
    (kernels, { distances, ...spans }) => {
      const scale = 1 / Math.sqrt(headDim);
      kernels.attentionCached({
        ...{ slots, capacity, kvHeads, headDim, rows, heads, window, scale, ...spans },
        ...(reach !== undefined && { bias: { values: distances, reach } }),
      });
    },
    {
      // The same as the last query of a whole sequence.
      expected: () => ({
        out: positions.flatMap((position, r) => {
          const length = position + 1;
          const at = slotOf[r]! * capacity * dim;
          const queries = new Float32Array(length * heads * headDim);
          queries.set(q.subarray(r * heads * headDim, (r + 1) * heads * headDim), position * heads * headDim);
          const part = (a: ReturnType<typeof floats>): number[] =>
            Array.from(valuesOf(a)).slice(at, at + length * dim);
          const shape = {
            ...{ batch: 1, length, heads, kvHeads, headDim, window },
            ...(reach !== undefined && { reach }),
          };
          const all = new Int32Array(length);
          const { out } = attention(shape, all, queries, part(keys), part(values), { bias });
          return Array.from(out.subarray(position * heads * headDim));
        }),
      }),
    },
  );
}

function cacheWriteCase(dtype: 'f32' | 'bf16', rows: number, kvHeads: number, headDim: number): Case {
  const [slots, capacity, dim] = [4, 9, kvHeads * headDim];
  const x = random(rows * dim);
  const cache = floats(dtype, random(slots * capacity * dim));
  const slotOf = Array.from({ length: rows }, (_, r) => (r * 3) % slots);
  const positions = Array.from({ length: rows }, (_, r) => (r * 5 + (r >> 2)) % capacity);
  return define(
    `${dtype}, ${rows} rows of [${kvHeads}, ${headDim}]`,
    { x: f32(x), cache, slotOf: i32(slotOf), positions: i32(positions) },
    ['cache'],
    (kernels, spans) => kernels.cacheWrite({ slots, capacity, kvHeads, headDim, rows, ...spans }),
    {
      expected: () => {
        const wanted = Float32Array.from(valuesOf(cache));
        const rounded = valuesOf(floats(dtype, x));
        for (let r = 0; r < rows; r++)
          for (let d = 0; d < dim; d++)
            wanted[(slotOf[r]! * capacity + positions[r]!) * dim + d] = rounded[r * dim + d]!;
        return { cache: wanted };
      },
    },
  );
}

function ropeCase(
  rows: number,
  heads: number,
  headDim: number,
  rotaryDim: number,
  inverse: boolean,
  inPlace: boolean,
): Case {
  const half = rotaryDim / 2;
  const angles = random(40 * half, -3, 3);
  const x = random(rows * heads * headDim);
  const positions = Array.from({ length: rows }, (_, r) => (r * 7) % 40);
  return define(
    `[${rows}, ${heads}, ${headDim}], ${rotaryDim} turned${inverse ? ' back' : ''}${inPlace ? ', in place' : ''}`,
    {
      ...{ x: f32(x), y: unwritten(x.length), positions: i32(positions) },
      ...{ cos: f32(angles.map(Math.cos)), sin: f32(angles.map(Math.sin)) },
    },
    inPlace ? ['x'] : ['y'],
    (kernels, s) => kernels.rope({ ...s, y: inPlace ? s.x : s.y, rows, heads, headDim, rotaryDim, inverse }),
    {
      // A product of complex numbers, (a + ib) · e^(i·angle).
      expected: () => {
        const y = Float64Array.from(x);
        for (let r = 0; r < rows; r++)
          for (let h = 0; h < heads; h++)
            for (let i = 0; i < half; i++) {
              const angle = (inverse ? -1 : 1) * angles[positions[r]! * half + i]!;
              const at = (r * heads + h) * headDim + i;
              const [a, b] = [x[at]!, x[at + half]!];
              y[at] = Math.cos(angle) * a - Math.sin(angle) * b;
              y[at + half] = Math.sin(angle) * a + Math.cos(angle) * b;
            }
        return { [inPlace ? 'x' : 'y']: y };
      },
    },
  );
}

export const attentionCases = {
  attention: SHAPES.map(forwardCase),
  attentionBackward: SHAPES.map(backwardCase),
  attentionCached: CACHES.map(cachedCase),
  cacheWrite: [
    cacheWriteCase('f32', 1, 1, 1),
    cacheWriteCase('f32', 8, 2, 17),
    cacheWriteCase('bf16', 5, 3, 64),
    cacheWriteCase('bf16', 9, 2, 100),
  ],
  rope: [
    ropeCase(1, 1, 2, 2, false, false),
    ropeCase(3, 2, 6, 4, false, false),
    ropeCase(17, 4, 64, 64, false, true),
    ropeCase(17, 4, 64, 64, true, false),
    ropeCase(3, 3, 100, 34, true, true),
    ropeCase(300, 4, 48, 32, false, false),
  ],
};
