/** LoRA's products out of plain ones and dropout's passes over copies, for backends and types that have no kernels of their own. */

import { BYTES_PER_ELEMENT, type DeviceBuffer, type Span } from './span.js';
import type { Dropout, Kernels } from './kernels.js';

export type LoraKernels = Pick<Kernels, 'loraDown' | 'loraDownBackward' | 'loraUpBackward'>;

interface Parts extends Pick<Kernels, 'gemm' | 'dropout'> {
  readonly alloc: (bytes: number) => DeviceBuffer;
  readonly free: (buffer: DeviceBuffer) => void;
}

export function loraByGemm({ gemm, dropout, alloc, free }: Parts): LoraKernels {
  /** Calls `use` with a copy's memory, of the type and size of x. */
  function withCopy(x: Span, length: number, use: (copy: Span) => void): void {
    const buffer = alloc(length * BYTES_PER_ELEMENT[x.dtype]);
    use({ buffer, offset: 0, dtype: x.dtype, length });
    free(buffer);
  }
  const drop = (mask: Dropout, x: Span, y: Span, n: number, accumulate: boolean): void => {
    const { p, random, firstElement } = mask;
    dropout({ x, y, n, p, random, firstElement, accumulate });
  };
  function withDropped(mask: Dropout | undefined, x: Span, n: number, use: (dropped: Span) => void): void {
    if (!mask) use(x);
    else
      withCopy(x, n, (copy) => {
        drop(mask, x, copy, n, false);
        use(copy);
      });
  }

  return {
    loraDown(args) {
      const { x, a, u, rows, cols, r, precision } = args;
      const b = { kind: 'dense', rows: r, cols, data: a } as const;
      withDropped(args.dropout, x, rows * cols, (dropped) =>
        gemm({ m: rows, n: r, k: cols, a: dropped, b, transB: true, c: u, precision }),
      );
    },

    loraDownBackward(args) {
      const { x, du, a, dA, dx, accumulate, rows, cols, r, precision, dropout: mask } = args;
      if (dA)
        withDropped(mask, x, rows * cols, (data) => {
          const b = { kind: 'dense', rows, cols, data } as const;
          gemm({ m: r, n: cols, k: rows, a: du, transA: true, b, c: dA, accumulate: true, precision });
        });
      if (!dx) return;
      const b = { kind: 'dense', rows: r, cols, data: a } as const;
      const product = { m: rows, n: cols, k: r, a: du, b, precision } as const;
      if (!mask) gemm({ ...product, c: dx, accumulate });
      else
        withCopy(x, rows * cols, (copy) => {
          gemm({ ...product, c: copy });
          drop(mask, copy, dx, rows * cols, accumulate);
        });
    },

    loraUpBackward(args) {
      const { dy, u, du, dB, alpha, rows, cols, r, precision } = args;
      const b = { kind: 'dense', rows: cols, cols: r, data: args.b } as const;
      gemm({ m: rows, n: r, k: cols, a: dy, b, c: du, alpha, precision });
      if (!dB) return;
      const right = { kind: 'dense', rows, cols: r, data: u } as const;
      const product = { m: cols, n: r, k: rows, a: dy, transA: true, b: right, precision } as const;
      gemm({ ...product, c: dB, alpha, accumulate: true });
    },
  };
}
