/**
 * A caching allocator over a device's own: training asks for the same sizes step after step, and the system's allocator, or worse
 * a driver's, would hand out fresh pages each time. Freed blocks wait in a list for their size; there are few sizes, eight between
 * a power of two and the next, so that batches of changing lengths find each other's blocks.
 */

import { MemoryError } from '../util/errors.js';
import type { MemoryUse } from './contract.js';
import type { DeviceBuffer } from './span.js';

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
  /** Where it goes back to; nowhere once it did. */
  owner: { takeBack(block: Block<Handle>): void } | undefined;
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
  /** The memory of recordings, where there are any. */
  private recordings: Apart<Handle> | undefined;
  private isApart = false;

  constructor(
    private readonly system: SystemMemory<Handle>,
    device: string,
    /** What is thrown when `bytes` more cannot be had beside the `held` ones. */
    private readonly shortage = (bytes: number, held: number): MemoryError =>
      new MemoryError(
        `${device} has no ${mebibytes(bytes)} MiB left (${mebibytes(held)} MiB in use)`,
        ': take a smaller batch or shorter texts, or turn gradient checkpointing on',
      ),
  ) {}

  /** Uninitialized memory, aligned as the system's. Throws MemoryError when the device has no more. */
  alloc(bytes: number): DeviceBuffer {
    return this.isApart ? this.recordings!.alloc(bytes) : this.own(bytes);
  }

  own(bytes: number): Block<Handle> {
    const capacity = sizeClass(bytes);
    const handle = this.spare.get(capacity)?.pop() ?? this.fresh(capacity, bytes);
    this.held += bytes;
    this.peak = Math.max(this.peak, this.held);
    this.need = Math.max(this.need, this.held);
    return { handle, bytes, capacity, owner: this };
  }

  free(buffer: DeviceBuffer): void {
    const block = buffer as Block<Handle>;
    if (!block.owner) throw new Error(`a buffer of ${block.bytes} bytes was freed twice`);
    block.owner.takeBack(block);
    block.owner = undefined;
  }

  takeBack({ handle, bytes, capacity }: Block<Handle>): void {
    this.held -= bytes;
    const list = this.spare.get(capacity);
    if (list) list.push(handle);
    else this.spare.set(capacity, [handle]);
  }

  /** Runs `body`, which records work that will be done again and again: nobody else gets the memory that it allocates, until `release`. */
  apart(body: () => void): { release(): void } {
    const apart = (this.recordings ??= new Apart(this));
    apart.recordings++;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      if (--apart.recordings > 0) return;
      apart.dissolve();
      this.recordings = undefined;
    };
    this.isApart = true;
    try {
      body();
    } catch (error) {
      release();
      throw error;
    } finally {
      this.isApart = false;
    }
    return { release };
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

/**
 * The memory that recordings share: they run one after the other, and what one has freed holds nothing until it runs again. Each is of
 * another size, so that a block serves whatever fits into it.
 */
class Apart<Handle> {
  recordings = 0;
  private readonly taken: Block<Handle>[] = [];
  private readonly spare: Block<Handle>[] = [];

  constructor(private readonly pool: Pool<Handle>) {}

  alloc(bytes: number): DeviceBuffer {
    let best: Block<Handle> | undefined;
    for (const block of this.spare)
      if (block.capacity >= bytes && !(best && best.capacity <= block.capacity)) best = block;
    if (best) this.spare.splice(this.spare.indexOf(best), 1);
    else this.taken.push((best = this.pool.own(bytes)));
    const handed: Block<Handle> = { handle: best.handle, capacity: best.capacity, bytes, owner: this };
    return handed;
  }

  takeBack(block: Block<Handle>): void {
    this.spare.push(block);
  }

  /** Nothing runs any more that reads or writes it. */
  dissolve(): void {
    for (const block of this.taken) this.pool.free(block);
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
