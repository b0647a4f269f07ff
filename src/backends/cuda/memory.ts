/**
 * The device's memory and the copies to and from it. Everything is enqueued on one stream, so that a block which is freed may be handed
 * out again at once: whoever gets it comes later on the stream.
 */

import { view } from 'koffi';
import { MemoryError, UserError } from '../../util/errors.js';
import type { MemoryUse } from '../contract.js';
import { BYTES_PER_ELEMENT, type DeviceBuffer, type Span } from '../span.js';
import { Pool, sizeClass } from '../pool.js';
import { CudaError, OUT_OF_MEMORY, type Driver } from './driver.js';

/** Host memory that the device can read and write: where it begins, and as JavaScript sees it. */
interface Pinned {
  readonly at: number;
  readonly bytes: Uint8Array;
}

interface Staged extends Pinned {
  readonly event: number;
  /** Whether a copy out of it was asked for. */
  used: boolean;
}

const PORTABLE_AND_MAPPED = 1 | 2;
const NO_TIMING = 2;
/** Uploads up to this size go through the ring. */
const SMALL = 64 << 10;
const RING = 4 << 20;

export class CudaMemory {
  private readonly pool: Pool<number>;
  private readonly inHost = new WeakSet<DeviceBuffer>();
  private readonly ring: Ring;
  private readonly staged: [Staged?, Staged?] = [];
  private turn: 0 | 1 = 0;
  private readonly spare = new Map<number, Pinned[]>();
  private readonly events: number[] = [];

  constructor(
    private readonly driver: Driver,
    private readonly stream: number,
    name: string,
  ) {
    const system = {
      alloc: (bytes: number): number | undefined => this.take(bytes),
      free: (handle: number): void => driver.call('cuMemFree_v2', handle),
    };
    this.pool = new Pool(system, name, (bytes, held) => this.shortage(name, bytes, held));
    this.ring = new Ring(driver, stream, this.pin(RING), [this.event(), this.event()]);
  }

  alloc(bytes: number, place: 'device' | 'host'): DeviceBuffer {
    if (place === 'device') return this.pool.alloc(bytes);
    const buffer = { bytes, handle: this.pin(bytes).at };
    this.inHost.add(buffer);
    return buffer;
  }

  free(buffer: DeviceBuffer): void {
    if (this.inHost.has(buffer)) this.driver.call('cuMemFreeHost', buffer.handle);
    else this.pool.free(buffer);
  }

  withScratch(bytes: number, use: (address: number) => void): void {
    const buffer = this.alloc(bytes, 'device');
    try {
      use(buffer.handle as number);
    } finally {
      this.free(buffer);
    }
  }

  /** As Pool.apart. */
  apart(body: () => void): { release(): void } {
    return this.pool.apart(body);
  }

  use(): MemoryUse {
    return this.pool.use();
  }

  resetPeak(): void {
    this.pool.resetPeak();
  }

  trim(): void {
    this.driver.call('cuStreamSynchronize', this.stream);
    this.pool.trim();
    for (const pinned of [...this.spare.values()].flat()) this.driver.call('cuMemFreeHost', pinned.at);
    this.spare.clear();
    for (const staged of this.staged.splice(0)) if (staged) this.driver.call('cuMemFreeHost', staged.at);
  }

  /** Bytes that could still be allocated. */
  available(): number {
    const { held, reserved } = this.pool.use();
    return this.free_().free + reserved - held;
  }

  upload(data: ArrayBufferView, to: Span): void {
    const { byteLength } = data;
    if (byteLength === 0) return;
    const target = (to.buffer.handle as number) + to.offset;
    const source = new Uint8Array(data.buffer, data.byteOffset, byteLength);
    const staged = this.staged.find((s) => s?.bytes.buffer === data.buffer);
    if (staged) {
      this.driver.call('cuMemcpyHtoDAsync_v2', target, staged.at + data.byteOffset, byteLength, this.stream);
      this.driver.call('cuEventRecord', staged.event, this.stream);
      staged.used = true;
    } else if (byteLength <= SMALL) this.ring.upload(source, target);
    // From memory that may move or change, the driver has taken its copy when the call returns.
    else this.driver.call('cuMemcpyHtoDAsync_v2#pageable', target, source, byteLength, this.stream);
  }

  /** Two blocks by turns: while one is filled, the copies out of the other go on. */
  staging(bytes: number): Uint8Array {
    this.turn = this.turn === 0 ? 1 : 0;
    const last = this.staged[this.turn];
    if (last?.used) this.driver.call('cuEventSynchronize', last.event);
    if (last && last.bytes.byteLength >= bytes) {
      last.used = false;
      return last.bytes;
    }
    if (last) this.driver.call('cuMemFreeHost', last.at);
    const fresh = { ...this.pin(bytes), event: last?.event ?? this.event(), used: false };
    this.staged[this.turn] = fresh;
    return fresh.bytes;
  }

  async download(from: Span): Promise<Uint8Array<ArrayBuffer>> {
    const length = from.length * BYTES_PER_ELEMENT[from.dtype];
    const bytes = new Uint8Array(length);
    if (length === 0) return bytes;
    const size = sizeClass(length);
    const pinned = this.spare.get(size)?.pop() ?? this.pin(size);
    const source = (from.buffer.handle as number) + from.offset;
    this.driver.call('cuMemcpyDtoHAsync_v2', pinned.at, source, length, this.stream);
    await this.synchronize();
    bytes.set(pinned.bytes.subarray(0, length));
    const list = this.spare.get(size);
    if (list) list.push(pinned);
    else this.spare.set(size, [pinned]);
    return bytes;
  }

  /** When all that was enqueued so far is done: looked at often at first, for a decoding step takes milliseconds. */
  async synchronize(): Promise<void> {
    const event = this.events.pop() ?? this.event();
    this.driver.call('cuEventRecord', event, this.stream);
    const started = performance.now();
    while (!this.driver.isDone(event)) {
      const waited = performance.now() - started;
      if (waited < 0.2) continue;
      await new Promise((resolve) => (waited < 20 ? setImmediate(resolve) : setTimeout(resolve, 1)));
    }
    this.events.push(event);
  }

  private event(): number {
    return this.driver.get('cuEventCreate', NO_TIMING);
  }

  private pin(bytes: number): Pinned {
    const at = this.unlessShort(() => this.driver.get('cuMemHostAlloc', bytes, PORTABLE_AND_MAPPED));
    if (at === undefined) {
      throw new UserError(
        `the machine's main memory is out of room that the GPU could reach: ${Math.ceil(bytes / 2 ** 20)} MiB were asked for; ` +
          'close other programs, or set optim: adamw_torch to keep the optimizer on the GPU',
      );
    }
    return { at, bytes: new Uint8Array(view(BigInt(at), bytes)) };
  }

  private take(bytes: number): number | undefined {
    return this.unlessShort(() => this.driver.get('cuMemAlloc_v2', bytes));
  }

  private unlessShort(allocate: () => number): number | undefined {
    try {
      return allocate();
    } catch (error) {
      if (error instanceof CudaError && error.code === OUT_OF_MEMORY) return undefined;
      throw error;
    }
  }

  private free_(): { free: number; total: number } {
    const [free, total]: [[number | bigint], [number | bigint]] = [[0], [0]];
    this.driver.call('cuMemGetInfo_v2', free, total);
    return { free: Number(free[0]), total: Number(total[0]) };
  }

  private shortage(name: string, bytes: number, held: number): MemoryError {
    const { free, total } = this.free_();
    const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`;
    return new MemoryError(
      `${name} is out of memory: ${mib(bytes)} were asked for, ${mib(free)} of ${mib(total)} are free, ${mib(held)} are in use here`,
      '; lower per_device_train_batch_size, max_length or generation.batch_size, or set gradient_checkpointing: true or ' +
        'optim: paged_adamw_32bit (`westwind plan` shows what takes how much)',
    );
  }
}

/** Pinned memory for small uploads, in two halves: one is written while the copies out of the other are under way. */
class Ring {
  private side: 0 | 1 = 0;
  /** Of the side's next upload. */
  private at = 0;
  private readonly left = [false, false];

  constructor(
    private readonly driver: Driver,
    private readonly stream: number,
    private readonly pinned: Pinned,
    private readonly events: readonly [number, number],
  ) {}

  upload(source: Uint8Array, target: number): void {
    const half = this.pinned.bytes.byteLength / 2;
    if (this.at + source.byteLength > half) this.turn();
    const at = this.side * half + this.at;
    this.pinned.bytes.set(source, at);
    this.driver.call('cuMemcpyHtoDAsync_v2', target, this.pinned.at + at, source.byteLength, this.stream);
    this.at += Math.ceil(source.byteLength / 64) * 64;
  }

  /** To the other side, once the copies out of it are done. */
  private turn(): void {
    this.driver.call('cuEventRecord', this.events[this.side], this.stream);
    this.left[this.side] = true;
    this.side = this.side === 0 ? 1 : 0;
    this.at = 0;
    if (this.left[this.side]) this.driver.call('cuEventSynchronize', this.events[this.side]);
  }
}
