/**
 * What stands in c before a large product is added to it: residual, bias, LoRA's product of a rank of at most 64. On tensor cores where
 * type, sizes and addresses allow, else in plain f32 arithmetic.
 */

import type { Span } from '../span.js';
import type { ThinProduct } from '../kernels.js';
import { aligned, BLOCK, cType, keyedFamily } from './arguments.js';
import { address, type CudaDevice } from './device.js';

const COLUMNS = 256;
const STEP = 32;
const PLAIN_TILE = 64;

interface Prepared {
  readonly residual?: Span | undefined;
  readonly bias?: Span | undefined;
  readonly extra?: ThinProduct | undefined;
  readonly transB: boolean;
}

/** c [m, n] = residual + bias + extra's product (of a rank of at most 64, not transposed on the left); without them 0. */
export type Prepare = (c: Span, m: number, n: number, parts: Prepared) => void;

export function bindPrepare(device: CudaDevice): Prepare {
  const outer = keyedFamily(device, 'thin', 'ww_thin_outer', 'pppppiiifi');
  const plain = keyedFamily(device, 'thin-plain', 'ww_thin_plain', 'pppppiiiif');
  const at = (span: Span | undefined): number => (span ? address(span) : 0);

  return (c, m, n, { residual, bias, extra, transB }) => {
    const { a, b, k: r, alpha } = extra ?? { a: undefined, b: undefined, k: 0, alpha: 0 };
    const spans = [at(a), at(b), at(residual), at(bias), at(c)];
    const sizes = n % 8 === 0 && aligned(at(a), at(c), at(residual), at(bias));
    if (device.capability >= 80 && sizes && (!a || a.dtype === 'bf16')) {
      const RANK = Math.max(16, Math.ceil(r / 16) * 16);
      const strips = Math.ceil(n / COLUMNS);
      // The blocks that fit a multiprocessor.
      const wanted = Math.max(1, Math.floor(((RANK <= 16 ? 3 : 2) * device.multiprocessors) / strips));
      const size = Math.ceil(m / wanted / STEP) * STEP;
      const kernel = outer({
        ACTIVATION: 'bf16',
        RANK,
        RAGGED: r % 8 === 0 ? 0 : 1,
        TRANS_B: transB ? 1 : 0,
        FROM: residual ? 1 : 0,
        OUT: cType(c.dtype),
      });
      kernel.launch([strips, Math.ceil(m / size), 1], BLOCK, 0, ...spans, m, n, r, alpha, size);
      return;
    }
    const grid = [Math.ceil(m / PLAIN_TILE), Math.ceil(n / PLAIN_TILE), 1] as const;
    const kernel = plain({ TA: cType(a?.dtype ?? 'f32'), OUT: cType(c.dtype) });
    kernel.launch(grid, BLOCK, 0, ...spans, m, n, r, transB ? 1 : 0, alpha);
  };
}
