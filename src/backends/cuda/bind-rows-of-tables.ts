/** Rows of a table by their numbers: the embedding and its gradient, rows that are gathered and scattered. */

import { BYTES_PER_ELEMENT } from '../span.js';
import type { Kernels } from '../kernels.js';
import { aligned, BLOCK, byActivation, cType, family, rowLayout, unitOf } from './arguments.js';
import { address, type CudaDevice } from './device.js';

type RowKernels = Pick<Kernels, 'embedding' | 'embeddingBackward' | 'gatherRows' | 'scatterRows'>;

/** Columns of the table that a block of the embedding's gradient treats. */
const EMBEDDING_COLUMNS = 1024;

export function bindRowsOfTables(device: CudaDevice): RowKernels {
  const embedding = family(device, 'rows', 'ww_embedding', 'pppiiiii', (types) => {
    const [TABLE, ACTIVATION] = types.split(' ') as [string, string];
    return { TABLE, ACTIVATION };
  });
  const embeddingBackward = byActivation(device, 'rows', 'ww_embedding_backward', 'pppiii');
  const gather = family(device, 'rows', 'ww_gather_rows', 'pppiiii', (UNIT) => ({ UNIT }));
  const scatter = family(device, 'rows', 'ww_scatter_rows', 'pppiiii', (UNIT) => ({ UNIT }));

  const move = (
    name: 'gatherRows' | 'scatterRows',
    kernels: typeof gather,
  ): Kernels['gatherRows' | 'scatterRows'] => {
    return ({ x, index, y, rows, dim }) => {
      const [from, to] = [address(x), address(y)];
      const rowBytes = dim * BYTES_PER_ELEMENT[x.dtype];
      const unit = unitOf(from, to, rowBytes);
      const units = rowBytes / unit.bytes;
      const count = Math.floor((name === 'gatherRows' ? x : y).length / dim);
      const { grid, shift } = rowLayout(rows, units);
      const at = address(index);
      kernels(unit.type).launch(grid, BLOCK, 0, from, at, to, rows, count, units, shift);
    };
  };

  return {
    embedding({ table, ids, y, rows }) {
      const { rows: vocab, cols: dim } = table;
      const from = address(table.data);
      const to = address(y);
      const vector = dim % 8 === 0 ? aligned(from, to) : 0;
      const { grid, shift } = rowLayout(rows, dim / (vector ? 8 : 1));
      const types = `${cType(table.data.dtype)} ${cType(y.dtype)}`;
      const at = address(ids);
      embedding(types).launch(grid, BLOCK, 0, from, at, to, rows, vocab, dim, shift, vector);
    },
    embeddingBackward({ ids, dy, dTable, rows, vocab, dim }) {
      embeddingBackward(dy.dtype).launch(
        [rows, Math.ceil(dim / EMBEDDING_COLUMNS), 1],
        BLOCK,
        0,
        address(ids),
        address(dy),
        address(dTable),
        rows,
        vocab,
        dim,
      );
    },
    gatherRows: move('gatherRows', gather),
    scatterRows: move('scatterRows', scatter),
  };
}
