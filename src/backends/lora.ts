/** LoRA's masked products out of products and dropout's passes over copies, for backends and types that have no kernels of their own. */

import type { DeviceBuffer, Dropout, DType, Kernels, LoraShape, Span } from './contract.js';
import { BYTES_PER_ELEMENT } from './contract.js';

type LoraKernels = Pick<Kernels, 'loraDown' | 'loraDownBackward'>;

interface Parts extends Pick<Kernels, 'gemm' | 'dropout'> {
  readonly alloc: (bytes: number) => DeviceBuffer;
  readonly free: (buffer: DeviceBuffer) => void;
}

export function loraByGemm({ gemm, dropout, alloc, free }: Parts): LoraKernels {
  function withCopy(dtype: DType, length: number, use: (copy: Span) => void): void {
    const buffer = alloc(length * BYTES_PER_ELEMENT[dtype]);
    use({ buffer, offset: 0, dtype, length });
    free(buffer);
  }
  const drop = (mask: Dropout, x: Span, y: Span, n: number, accumulate: boolean): void => {
    const { p, random, firstElement } = mask;
    dropout({ x, y, n, p, random, firstElement, accumulate });
  };

  return {
    loraDown(args) {
      checkLora('loraDown', args, args);
      const { x, a, u, rows, cols, r, precision } = args;
      withCopy(x.dtype, rows * cols, (dropped) => {
        drop(args.dropout, x, dropped, rows * cols, false);
        const b = { kind: 'dense', rows: r, cols, data: a } as const;
        gemm({ m: rows, n: r, k: cols, a: dropped, b, transB: true, c: u, precision });
      });
    },

    loraDownBackward(args) {
      checkLora('loraDownBackward', args, args);
      const { x, du, a, dA, dx, rows, cols, r, precision } = args;
      withCopy(x.dtype, rows * cols, (copy) => {
        if (dA) {
          drop(args.dropout, x, copy, rows * cols, false);
          const b = { kind: 'dense', rows, cols, data: copy } as const;
          gemm({ m: r, n: cols, k: rows, a: du, transA: true, b, c: dA, accumulate: true, precision });
        }
        if (dx) {
          const b = { kind: 'dense', rows: r, cols, data: a } as const;
          gemm({ m: rows, n: cols, k: r, a: du, b, c: copy, precision });
          drop(args.dropout, copy, dx, rows * cols, args.accumulate);
        }
      });
    },
  };
}

/** Sizes that do not fit would read or write foreign memory: a fault of the caller, told before it happens. */
export function checkLora(
  kernel: string,
  { rows, cols, r }: LoraShape,
  spans: {
    readonly x: Span;
    readonly a: Span;
    readonly u?: Span;
    readonly du?: Span;
    readonly dA?: Span;
    readonly dx?: Span;
  },
): void {
  const needed = { x: rows * cols, dx: rows * cols, a: r * cols, dA: r * cols, u: rows * r, du: rows * r };
  for (const name of ['x', 'a', 'u', 'du', 'dA', 'dx'] as const) {
    const span = spans[name];
    if (span && span.length < needed[name])
      throw new RangeError(`${kernel}: ${name} has ${span.length} elements, needs ${needed[name]}`);
    if (span && span.dtype !== (name === 'a' || name === 'dA' ? 'f32' : spans.x.dtype))
      throw new TypeError(`${kernel}: ${name} is ${span.dtype}`);
  }
}
