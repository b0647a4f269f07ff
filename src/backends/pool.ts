/**
 * A caching allocator over a device's own: training asks for the same sizes step after step, and the system's allocator, or worse
 * a driver's, would hand out fresh pages each time. Freed blocks wait in a list for their size; there are few sizes, eight between
 * a power of two and the next, so that batches of changing lengths find each other's blocks.
 */

import { UserError } from '../util/errors.js';
import type { DeviceBuffer, MemoryUse } from './contract.js';

/** A device's plain allocator. */
export interface SystemMemory<Handle> {
  /** `undefined` where the device has no more. */
  alloc(bytes: number): Handle | undefined;
  free(handle: Handle, bytes: number): void;
}

/** `bytes` is what was asked for, `capacity` what the block has. */
interface Block<Handle> extends DeviceBuffer {
  readonly handle: Handle;
  readonly capacity: number;
  live: boolean;
}

const ALIGNMENT = 64;
const PAGE = 4096;
/** Free blocks are kept while all blocks together stay below the peak of use times SLACK, plus SPARE. */
const SLACK = 1.25;
const SPARE = 64 * 2 ** 20;

export class Pool<Handle> {
  private readonly spare = new Map<number, Handle[]>();
  private held = 0;
  private peak = 0;
  /** The largest `held` ever, whatever `resetPeak` did: what the process has shown to need. */
  private need = 0;
  private reserved = 0;

  constructor(
    private readonly system: SystemMemory<Handle>,
    device: string,
    /** What is thrown when `bytes` more cannot be had beside the `held` ones. */
    private readonly shortage = (bytes: number, held: number): UserError =>
      new UserError(
        `${device} has no ${mebibytes(bytes)} MiB left (${mebibytes(held)} MiB in use): ` +
          'take a smaller batch or shorter texts, or turn gradient checkpointing on',
      ),
  ) {}

  /** Uninitialized memory, aligned as the system's. Throws UserError when the device has no more. */
  alloc(bytes: number): DeviceBuffer {
    const capacity = sizeClass(bytes);
    const handle = this.spare.get(capacity)?.pop() ?? this.fresh(capacity, bytes);
    this.held += bytes;
    this.peak = Math.max(this.peak, this.held);
    this.need = Math.max(this.need, this.held);
    const block: Block<Handle> = { handle, bytes, capacity, live: true };
    return block;
  }

  free(buffer: DeviceBuffer): void {
    const block = buffer as Block<Handle>;
    if (!block.live) throw new Error(`a buffer of ${block.bytes} bytes was freed twice`);
    block.live = false;
    this.held -= block.bytes;
    const list = this.spare.get(block.capacity);
    if (list) list.push(block.handle);
    else this.spare.set(block.capacity, [block.handle]);
  }

  use(): MemoryUse {
    return { held: this.held, peak: this.peak, reserved: this.reserved };
  }

  resetPeak(): void {
    this.peak = this.held;
  }

  /** Gives free blocks back to the system, the largest first, until at least `bytes` (all of them where not given) went. */
  trim(bytes = Infinity): void {
    const sizes = [...this.spare.keys()].sort((a, b) => b - a);
    let given = 0;
    for (const size of sizes) {
      const list = this.spare.get(size)!;
      while (list.length > 0 && given < bytes) {
        this.system.free(list.pop()!, size);
        given += size;
      }
      if (list.length === 0) this.spare.delete(size);
    }
    this.reserved -= given;
  }

  private fresh(capacity: number, bytes: number): Handle {
    const excess = this.reserved + capacity - Math.max(this.need, this.held + bytes) * SLACK - SPARE;
    if (excess > 0) this.trim(excess);
    let handle = this.system.alloc(capacity);
    if (handle === undefined) {
      this.trim();
      handle = this.system.alloc(capacity);
    }
    if (handle === undefined) throw this.shortage(bytes, this.held);
    this.reserved += capacity;
    return handle;
  }
}

/** The least size of a block that holds `bytes`: multiples of 64, of an eighth of their power of two, of pages where large. */
export function sizeClass(bytes: number): number {
  const step = Math.max(ALIGNMENT, 2 ** (Math.floor(Math.log2(Math.max(bytes, 1))) - 3));
  const unit = bytes > 2 ** 20 ? Math.max(step, PAGE) : step;
  return Math.max(ALIGNMENT, Math.ceil(bytes / unit) * unit);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
