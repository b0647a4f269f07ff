/**
 * A backend that counts what another is asked for: operations of matrix products, and bytes that kernels read and write. Beneath it
 * may lie a device that is only imagined (`createPlanBackend`), which then tells a program's cost before anything is loaded.
 */

import type { Backend } from './contract.js';
import { BYTES_PER_ELEMENT, type Span } from './span.js';
import type { GemmArgs, Kernels } from './kernels.js';

/** What a program asked of a backend. */
export interface Work {
  /** Floating-point operations of matrix products, a multiplication and an addition being two. */
  readonly operations: number;
  /** Bytes of everything else that kernels touch. */
  readonly bytes: number;
}

/** `backend`, and what was asked of it so far. */
export function countWork(backend: Backend): { readonly backend: Backend; work(): Work } {
  let operations = 0;
  let bytes = 0;
  const counted = Object.fromEntries(
    Object.entries(backend.kernels).map(([name, kernel]) => [
      name,
      (args: object) => {
        if (name === 'gemm') operations += operationsOf(args as GemmArgs);
        else if (name === 'gemms')
          for (const product of (args as { products: GemmArgs[] }).products)
            operations += operationsOf(product);
        else bytes += bytesOf(args);
        (kernel as (args: object) => void)(args);
      },
    ]),
  ) as unknown as Kernels;
  return { backend: { ...backend, kernels: counted }, work: () => ({ operations, bytes }) };
}

function operationsOf({ m, n, k, extra = [] }: GemmArgs): number {
  return 2 * n * extra.reduce((sum, thin) => sum + thin.rows * thin.k, m * k);
}

/** Of the spans among a kernel's arguments. */
function bytesOf(args: object): number {
  let bytes = 0;
  for (const value of Object.values(args) as unknown[])
    if (isSpan(value)) bytes += value.length * BYTES_PER_ELEMENT[value.dtype];
  return bytes;
}

function isSpan(value: unknown): value is Span {
  return typeof value === 'object' && value !== null && 'dtype' in value && 'buffer' in value;
}
