/** Cases of attention, over sequences and over a cache, and of rotary embedding. */

import { define, f32, floats, i32, random, unwritten, valuesOf, type Case } from './harness.js';
import { attention, attentionScale, inner, numericGradient, type Heads } from './naive.js';

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
];

const nameOf = (s: object): string =>
  Object.entries(s)
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ');

function problem(s: Shape): Record<'segments' | 'q' | 'k' | 'v', Float32Array | Int32Array> {
  const keys = s.batch * s.length * s.kvHeads * s.headDim;
  return {
    segments: segmentsOf(s.layout, s.batch, s.length),
    q: random(s.batch * s.length * s.heads * s.headDim, -2, 2),
    k: random(keys, -2, 2),
    v: random(keys),
  };
}

function forwardCase(s: Shape): Case {
  const { segments, q, k, v } = problem(s);
  const arrays = { segments: i32(segments), q: f32(q), k: f32(k), v: f32(v) };
  return define(
    nameOf(s),
    { ...arrays, out: unwritten(q.length), lse: unwritten(q.length / s.headDim) },
    ['out', 'lse'],
    (kernels, spans) => kernels.attention({ ...s, scale: attentionScale(s), ...spans }),
    { expected: () => attention(s, segments, q, k, v) },
  );
}

function backwardCase(s: Shape): Case {
  const { segments, q, k, v } = problem(s);
  const dOut = random(q.length);
  const { out, lse } = attention(s, segments, q, k, v);
  const arrays = { segments: i32(segments), q: f32(q), k: f32(k), v: f32(v), out: f32(out), lse: f32(lse) };
  const small = q.length <= 200;
  return define(
    nameOf(s),
    { ...arrays, dOut: f32(dOut), dq: unwritten(q.length), dk: unwritten(k.length), dv: unwritten(v.length) },
    ['dq', 'dk', 'dv'],
    (kernels, spans) => kernels.attentionBackward({ ...s, scale: attentionScale(s), ...spans }),
    {
      expected: small
        ? () => ({
            dq: numericGradient(q, (x) => inner(attention(s, segments, x, k, v).out, dOut)),
            dk: numericGradient(k, (x) => inner(attention(s, segments, q, x, v).out, dOut)),
            dv: numericGradient(v, (x) => inner(attention(s, segments, q, k, x).out, dOut)),
          })
        : undefined,
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
}

const CACHES: readonly Cache[] = [
  { positions: [0], heads: 1, kvHeads: 1, headDim: 1, window: 0, dtype: 'f32' },
  { positions: [3, 0, 16], heads: 4, kvHeads: 2, headDim: 17, window: 0, dtype: 'f32' },
  { positions: [99, 63, 64, 65, 1], heads: 6, kvHeads: 2, headDim: 64, window: 0, dtype: 'f32' },
  { positions: [175, 64, 5], heads: 4, kvHeads: 4, headDim: 16, window: 17, dtype: 'f32' },
  { positions: [128, 17], heads: 4, kvHeads: 1, headDim: 100, window: 0, dtype: 'bf16' },
  { positions: [70, 33, 2, 100], heads: 8, kvHeads: 2, headDim: 32, window: 64, dtype: 'bf16' },
];

/** Rows lie in slots in another order than their own; what was never written is NaN. */
export function cachedCase(c: Cache): Case {
  const { positions, heads, kvHeads, headDim, window, dtype } = c;
  const rows = positions.length;
  const slots = rows + 1;
  const capacity = Math.max(...positions) + 2;
  const dim = kvHeads * headDim;
  const slotOf = positions.map((_, r) => (r + 2) % slots);
  const q = random(rows * heads * headDim, -2, 2);
  const [keys, values] = [0, 1].map(() => {
    const cache = new Float32Array(slots * capacity * dim).fill(NaN);
    for (let r = 0; r < rows; r++) cache.set(random((positions[r]! + 1) * dim), slotOf[r]! * capacity * dim);
    return floats(dtype, cache);
  }) as [ReturnType<typeof floats>, ReturnType<typeof floats>];
  return define(
    nameOf(c),
    { q: f32(q), keys, values, slotOf: i32(slotOf), positions: i32(positions), out: unwritten(q.length) },
    ['out'],
    (kernels, spans) => {
      const scale = 1 / Math.sqrt(headDim);
      kernels.attentionCached({ slots, capacity, kvHeads, headDim, rows, heads, window, scale, ...spans });
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
          const shape = { batch: 1, length, heads, kvHeads, headDim, window };
          const { out } = attention(shape, new Int32Array(length), queries, part(keys), part(values));
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
