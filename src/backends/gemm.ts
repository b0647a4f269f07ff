/** What the backends' matrix products share: the check of their arguments, and dropout by a pass over a copy. */

import type { DeviceBuffer, GemmArgs, Kernels, Span } from './contract.js';
import { BYTES_PER_ELEMENT } from './contract.js';

interface Parts {
  /** Products without `dropout`. */
  readonly gemm: Kernels['gemm'];
  readonly dropout: Kernels['dropout'];
  readonly convert: Kernels['convert'];
  readonly alloc: (bytes: number) => DeviceBuffer;
  readonly free: (buffer: DeviceBuffer) => void;
}

/** `gemm` with `GemmArgs.dropout`. */
export function gemmWithDropout({ gemm, dropout, convert, alloc, free }: Parts): Kernels['gemm'] {
  return (args) => {
    const { dropout: mask, ...plain } = args;
    if (!mask) {
      gemm(args);
      return;
    }
    const { p, random, firstElement } = mask;
    const drop = (x: Span, y: Span, n: number, accumulate: boolean): void =>
      dropout({ x, y, n, p, random, firstElement, accumulate });
    const n = sizeOf(args, mask.of);
    const { dtype } = mask.of === 'product' ? args.c : args.a;
    const copy: Span = { buffer: alloc(n * BYTES_PER_ELEMENT[dtype]), offset: 0, dtype, length: n };
    if (mask.of === 'product') {
      gemm({ ...plain, c: copy, accumulate: false });
      drop(copy, args.c, n, args.accumulate ?? false);
    } else if (mask.of === 'a') {
      drop(args.a, copy, n, false);
      gemm({ ...plain, a: copy });
    } else {
      convert({ x: denseOf(args), y: copy, n });
      drop(copy, copy, n, false);
      gemm({ ...plain, b: { ...args.b, kind: 'dense', data: copy } });
    }
    free(copy.buffer);
  };
}

function denseOf({ b }: GemmArgs): Span {
  if (b.kind !== 'dense') throw new TypeError('gemm: dropout of a quantized matrix');
  return b.data;
}

function sizeOf({ m, n, k }: GemmArgs, of: 'a' | 'b' | 'product'): number {
  return of === 'a' ? m * k : of === 'b' ? k * n : m * n;
}

/** Sizes that do not fit would read or write foreign memory: a fault of the caller, told before it happens. */
export function checkGemm(g: GemmArgs): void {
  const { m, n, k, b, extra } = g;
  const [rows, cols] = g.transB ? [n, k] : [k, n];
  if (b.rows !== rows || b.cols !== cols)
    throw new RangeError(`gemm: b is [${b.rows}, ${b.cols}], the product wants [${rows}, ${cols}]`);
  if (g.residual && g.accumulate) throw new RangeError('gemm: residual excludes accumulate');
  const fits = (name: string, span: Span, length: number): void => {
    if (span.length < length)
      throw new RangeError(`gemm: ${name} has ${span.length} elements, needs ${length}`);
  };
  fits('a', g.a, m * k);
  fits(
    'b',
    b.kind === 'nf4' ? b.packed : b.data,
    b.kind === 'nf4' ? Math.ceil((rows * cols) / 2) : rows * cols,
  );
  fits('c', g.c, m * n);
  if (g.bias) fits('bias', g.bias, n);
  if (g.residual) fits('residual', g.residual, m * n);
  if (extra) {
    fits('extra.a', extra.a, m * extra.k);
    fits('extra.b', extra.b, n * extra.k);
  }
}
