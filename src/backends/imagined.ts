/**
 * A backend without a device: it hands out addresses, counts their bytes as the real one would, and computes nothing. A program that
 * runs over it lays out its memory in milliseconds, whatever the size of the model.
 */

import type { Backend } from './contract.js';
import { BYTES_PER_ELEMENT, type DeviceBuffer } from './span.js';
import type { Kernels } from './kernels.js';
import { Pool } from './pool.js';

/** What of a real backend shows in what a program asks of it. */
export type Likeness = Pick<
  Backend,
  'name' | 'activations' | 'batchInvariant' | 'runsAhead' | 'arithmetic' | 'fastBf16'
>;

/** Memory that is only counted: what it hands out must not be touched. */
export class ImaginedMemory {
  private next = 2 ** 20;
  readonly pool = new Pool<number>(
    {
      alloc: (bytes) => {
        const address = this.next;
        this.next += bytes;
        return address;
      },
      free: () => undefined,
    },
    'the imagined device',
  );

  alloc(bytes: number): DeviceBuffer {
    return this.pool.alloc(bytes);
  }
}

/** `kernels`: none of them may touch memory. */
export function imaginedBackend(like: Likeness, memory: ImaginedMemory, kernels: Kernels): Backend {
  const { pool } = memory;
  return {
    ...like,
    description: `${like.name}, imagined`,
    kernels,
    // What lies in the host's memory does not count for the device.
    alloc: (bytes, place = 'device') =>
      place === 'device' ? pool.alloc(bytes) : { bytes, handle: undefined },
    free: (buffer) => {
      if (buffer.handle !== undefined) pool.free(buffer);
    },
    upload: () => undefined,
    download: (from) => Promise.resolve(new Uint8Array(from.length * BYTES_PER_ELEMENT[from.dtype])),
    synchronize: () => Promise.resolve(),
    abortable: (_, body) => body(),
    record: (body) => ({ run: body, dispose: () => undefined }),
    staging: (bytes) => new Uint8Array(bytes),
    available: () => Infinity,
    memory: () => pool.use(),
    resetPeak: () => pool.resetPeak(),
    trim: () => pool.trim(),
  };
}

/** A table of kernels that do nothing. */
export function idleKernels(names: readonly string[]): Kernels {
  return Object.fromEntries(names.map((name) => [name, () => undefined])) as unknown as Kernels;
}
