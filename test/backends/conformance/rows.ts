/** Cases of rows by index: the embedding, gathering and scattering. */

import { define, drawFrom, f32, floats, i32, random, unwritten, valuesOf, type Case } from './harness.js';

drawFrom(5000);

const GRIDS = [[1, 1], [3, 17], [17, 3], [64, 100], [5, 176], [200, 300]] as const; // prettier-ignore

function embeddingCase(dtype: 'f32' | 'bf16' | 'f16', rows: number, vocab: number, dim: number): Case {
  const table = floats(dtype, random(vocab * dim));
  const ids = Array.from({ length: rows }, (_, r) => (r * r + 1) % vocab);
  return define(
    `${dtype}, ${rows} of [${vocab}, ${dim}]`,
    { table, ids: i32(ids), y: unwritten(rows * dim) },
    ['y'],
    (kernels, { table: data, ids: at, y }) =>
      kernels.embedding({ table: { kind: 'dense', rows: vocab, cols: dim, data }, ids: at, y, rows }),
    {
      expected: () => ({
        y: ids.flatMap((id) => Array.from(valuesOf(table)).slice(id * dim, (id + 1) * dim)),
      }),
    },
  );
}

function embeddingBackwardCase(rows: number, vocab: number, dim: number): Case {
  const [dy, before] = [random(rows * dim), random(vocab * dim)];
  const ids = Array.from({ length: rows }, (_, r) => (r * r + 1) % vocab);
  return define(
    `${rows} of [${vocab}, ${dim}]`,
    { ids: i32(ids), dy: f32(dy), dTable: f32(before) },
    ['dTable'],
    (kernels, s) => kernels.embeddingBackward({ ...s, rows, vocab, dim }),
    {
      expected: () => {
        const dTable = Float64Array.from(before);
        for (let i = 0; i < rows * dim; i++) dTable[ids[Math.floor(i / dim)]! * dim + (i % dim)]! += dy[i]!;
        return { dTable };
      },
    },
  );
}

function indexCases(kernel: 'gatherRows' | 'scatterRows'): Case[] {
  return GRIDS.map(([rows, dim]) => {
    const others = rows + 3;
    const gather = kernel === 'gatherRows';
    const index = Array.from({ length: rows }, (_, r) => (r * 7 + 2) % others).filter(
      (v, i, all) => all.indexOf(v) === i,
    );
    const n = index.length;
    const x = random((gather ? others : n) * dim);
    const y = random((gather ? n : others) * dim);
    return define(
      `${n} rows of ${dim}`,
      { x: f32(x), index: i32(index), y: f32(y) },
      ['y'],
      (kernels, s) => kernels[kernel]({ ...s, rows: n, dim }),
      {
        expected: () => {
          const wanted = y.slice();
          index.forEach((at, i) => {
            const [from, to] = gather ? [at, i] : [i, at];
            wanted.set(x.subarray(from * dim, (from + 1) * dim), to * dim);
          });
          return { y: wanted };
        },
      },
    );
  });
}

export const rowCases = {
  embedding: (['f32', 'bf16', 'f16'] as const).flatMap((dtype) => [
    embeddingCase(dtype, 1, 1, 1),
    embeddingCase(dtype, 17, 5, 100),
    embeddingCase(dtype, 300, 40, 64),
  ]),
  embeddingBackward: [
    embeddingBackwardCase(1, 1, 1),
    embeddingBackwardCase(17, 5, 100),
    embeddingBackwardCase(300, 40, 176),
  ],
  gatherRows: indexCases('gatherRows'),
  scatterRows: indexCases('scatterRows'),
};
