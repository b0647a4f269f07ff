/** How long work takes: by what the device reaches in large products and copies, measured. */

import type { Backend } from '../../backends/contract.js';
import type { Work } from '../../backends/counting.js';
import { benchCopy, benchProduct } from './products.js';

/** Operations and bytes a second. */
export interface Rates {
  readonly operations: number;
  readonly bytes: number;
}

export async function measureRates(backend: Backend): Promise<Rates> {
  const [size, bytes] = backend.name === 'cuda' ? [8192, 2 ** 30] : [512, 2 ** 26];
  const { gflops } = await benchProduct(backend, size, 3);
  return { operations: gflops * 1e9, bytes: await benchCopy(backend, bytes, 3) };
}

/** Seconds of some work at these rates: products and passes over memory take turns. */
export function secondsOf({ operations, bytes }: Work, rates: Rates): number {
  return operations / rates.operations + bytes / rates.bytes;
}
