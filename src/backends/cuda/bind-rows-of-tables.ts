/** Kernels over rows: norms, rotation, the embedding and its gradient, rows by index, sums over rows, and what a row of logits says. */

import { BYTES_PER_ELEMENT } from '../span.js';
import type { Kernels } from '../kernels.js';
import { aligned, BLOCK, byActivation, cType, family, lanes, rowBlock, rowLayout } from './arguments.js';
import { unitOf } from './bind-elementwise.js';
import { address, type CudaDevice, type Grid } from './device.js';

type RowKernels = Pick<
  Kernels,
  | 'rmsNorm'
  | 'rmsNormBackward'
  | 'layerNorm'
  | 'layerNormBackward'
  | 'rope'
  | 'embedding'
  | 'embeddingBackward'
  | 'gatherRows'
  | 'scatterRows'
  | 'sumRows'
  | 'crossEntropy'
  | 'argmax'
  | 'sample'
>;

/** Rows that the first stage of a sum over rows adds up. */
const CHUNK = 64;
/** Columns of the table that a block of the embedding's gradient treats. */
const EMBEDDING_COLUMNS = 1024;

/** How norms lay rows of so many units on blocks: a block a row, or a warp a row where a row has no more work than that. */
function normLayout(rows: number, units: number): { grid: Grid; threads: number; warps: 0 | 1 } {
  const threads = rowBlock(units, 512);
  if (threads > 32) return { grid: [rows, 1, 1], threads, warps: 0 };
  return { grid: [Math.ceil(rows / (BLOCK / 32)), 1, 1], threads: BLOCK, warps: 1 };
}

export function bindRowsOfTables(device: CudaDevice): RowKernels {
  const norm = byActivation(device, 'norm', 'ww_rms_norm', 'ppppiiffii');
  const normBackward = byActivation(device, 'norm', 'ww_rms_norm_backward', 'pppppiifiii');
  const normWeight = byActivation(device, 'norm', 'ww_norm_weight_parts', 'ppppiii');
  const layerNorm = byActivation(device, 'layer-norm', 'ww_layer_norm', 'ppppppifi');
  const layerNormBackward = byActivation(device, 'layer-norm', 'ww_layer_norm_backward', 'ppppppiii');
  const layerNormParts = byActivation(device, 'layer-norm', 'ww_layer_norm_parts', 'pppppiii');
  const sumRows = byActivation(device, 'reduce', 'ww_sum_rows_parts', 'ppiii');
  const sumParts = device.kernel('reduce', 'ww_sum_parts', 'ppiii');
  const rope = byActivation(device, 'rope', 'ww_rope', 'pppppiiiiiiii');
  const embedding = family(device, 'rows', 'ww_embedding', 'pppiiiii', (types) => {
    const [TABLE, ACTIVATION] = types.split(' ') as [string, string];
    return { TABLE, ACTIVATION };
  });
  const embeddingBackward = byActivation(device, 'rows', 'ww_embedding_backward', 'pppiii');
  const gather = family(device, 'rows', 'ww_gather_rows', 'pppiiii', (UNIT) => ({ UNIT }));
  const scatter = family(device, 'rows', 'ww_scatter_rows', 'pppiiii', (UNIT) => ({ UNIT }));
  const crossEntropy = byActivation(device, 'loss', 'ww_cross_entropy', 'ppppifi');
  const argmax = device.kernel('loss', 'ww_argmax', 'ppii');
  const sample = device.kernel('sample', 'ww_sample', 'ppppidid');

  /** y (+)= the sums over rows that `first` puts into parts of CHUNK rows each, by blocks of columns and of rows. */
  function sumOver(
    rows: number,
    cols: number,
    y: number,
    accumulate: boolean,
    first: (grid: Grid, parts: number) => void,
  ): void {
    const count = Math.ceil(rows / CHUNK);
    const width = Math.ceil(cols / BLOCK);
    device.withScratch(Math.max(1, count) * cols * 4, (parts) => {
      first([width, count, 1], parts);
      sumParts.launch([width, 1, 1], BLOCK, 0, parts, y, count, cols, accumulate ? 1 : 0);
    });
  }

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
    rmsNorm({ x, w, weightOffset, y, rstd, rows, dim, eps }) {
      const { dtype } = x;
      const [from, to] = [address(x), address(y)];
      const [weight, scale] = [address(w), address(rstd)];
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(from, to, weight) : 0;
      const { grid, threads, warps } = normLayout(rows, dim / width);
      const sizes = [rows, dim, eps, weightOffset];
      norm(dtype).launch(grid, threads, 0, from, weight, to, scale, ...sizes, warps, vector);
    },
    rmsNormBackward({ dy, x, w, weightOffset, rstd, dx, accumulate, dw, rows, dim }) {
      const { dtype } = x;
      const from = [address(dy), address(x)] as const;
      const [weight, scale] = [address(w), address(rstd)];
      const to = address(dx);
      // Before dx, which may take the place of dy.
      if (dw)
        sumOver(rows, dim, address(dw), true, (grid, parts) => {
          normWeight(dtype).launch(grid, BLOCK, 0, ...from, scale, parts, rows, dim, CHUNK);
        });
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(...from, weight, to) : 0;
      const { grid, threads, warps } = normLayout(rows, dim / width);
      const sizes = [rows, dim, weightOffset];
      const flags = [accumulate ? 1 : 0, warps, vector];
      normBackward(dtype).launch(grid, threads, 0, ...from, weight, scale, to, ...sizes, ...flags);
    },
    layerNorm({ x, w, b, y, mean, rstd, rows, dim, eps }) {
      const { dtype } = x;
      const from = address(x);
      const parameters = [address(w), address(b)] as const;
      const to = address(y);
      const statistics = [address(mean), address(rstd)] as const;
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(from, to, ...parameters) : 0;
      const at = [from, ...parameters, to, ...statistics];
      layerNorm(dtype).launch([rows, 1, 1], rowBlock(dim / width, 512), 0, ...at, dim, eps, vector);
    },
    layerNormBackward({ dy, x, w, mean, rstd, dx, accumulate, dw, db, rows, dim }) {
      const { dtype } = x;
      const from = [address(dy), address(x)] as const;
      const weight = address(w);
      const statistics = [address(mean), address(rstd)] as const;
      const to = address(dx);
      const gradients = [dw ? address(dw) : 0, db ? address(db) : 0];
      const count = Math.ceil(rows / CHUNK);
      if (dw || db)
        device.withScratch(2 * Math.max(1, count) * dim * 4, (parts) => {
          const across = Math.ceil(dim / BLOCK);
          const args = [...from, ...statistics, parts, rows, dim, CHUNK];
          layerNormParts(dtype).launch([across, count, 1], BLOCK, 0, ...args);
          for (const [i, gradient] of gradients.entries()) {
            const part = parts + i * count * dim * 4;
            if (gradient) sumParts.launch([across, 1, 1], BLOCK, 0, part, gradient, count, dim, 1);
          }
        });
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(...from, weight, to) : 0;
      const at = [...from, weight, ...statistics, to];
      const flags = [accumulate ? 1 : 0, vector];
      layerNormBackward(dtype).launch([rows, 1, 1], rowBlock(dim / width, 512), 0, ...at, dim, ...flags);
    },
    rope({ x, y, cos, sin, positions, rows, heads, headDim, rotaryDim, inverse }) {
      const { dtype } = x;
      const half = rotaryDim / 2;
      const at = [address(x), address(y)] as const;
      const tables = [address(cos), address(sin)] as const;
      const width = lanes(dtype);
      const even = half % width === 0 && headDim % width === 0;
      const vector = even ? aligned(...at, ...tables) : 0;
      const { grid, shift } = rowLayout(rows, (heads * (headDim - half)) / (vector ? width : 1));
      rope(dtype).launch(
        grid,
        BLOCK,
        0,
        ...at,
        ...tables,
        address(positions),
        Math.floor(cos.length / half),
        rows,
        heads,
        headDim,
        half,
        inverse ? 1 : 0,
        shift,
        vector,
      );
    },
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
    sumRows({ x, y, rows, cols, accumulate }) {
      const from = address(x);
      sumOver(rows, cols, address(y), accumulate, (grid, parts) => {
        sumRows(x.dtype).launch(grid, BLOCK, 0, from, parts, rows, cols, CHUNK);
      });
    },
    crossEntropy({ logits, targets, losses, rows, vocab, gradient }) {
      const from = address(logits);
      const to = gradient ? address(gradient.to) : 0;
      const vector = vocab % 4 === 0 ? aligned(from, to) : 0;
      crossEntropy(gradient?.to.dtype ?? 'f32').launch(
        [rows, 1, 1],
        rowBlock(vocab / 4, 1024),
        0,
        from,
        address(targets),
        address(losses),
        to,
        vocab,
        gradient?.scale ?? 0,
        vector,
      );
    },
    sample({ logits, draws, out, rows, vocab, temperature, topK, topP }) {
      const at = [address(logits), address(draws), address(out)];
      device.withScratch(rows * vocab * 4, (masses) =>
        sample.launch([rows, 1, 1], 1024, 0, ...at, masses, vocab, temperature, topK, topP),
      );
    },
    argmax({ x, out, rows, cols }) {
      const from = address(x);
      const vector = cols % 4 === 0 ? aligned(from) : 0;
      const to = address(out);
      argmax.launch([rows, 1, 1], rowBlock(cols / 4, 1024), 0, from, to, cols, vector);
    },
  };
}
