/**
 * The kernels as the host asks for them: a call leaves its arguments in a queue (kernels/queue.c), which one thread of the process runs
 * in order, and returns. Whoever wants to see what became of it waits without holding the event loop.
 */

import { Socket } from 'node:net';
import { alloc, address as nativeAddress, view } from 'koffi';
import { UserError } from '../../util/errors.js';
import { LoopWatch } from '../../util/turns.js';
import type { Recording } from '../contract.js';
import type { Library } from './library.js';

/** Enqueues a kernel: addresses and other numbers, in the order of its C parameters. */
export type Enqueue = (...args: number[]) => void;

/** More than any kernel takes, but for a product over very many bands. */
const WORDS = 1024;
/** To wait so long at once costs less than to be woken. In microseconds. */
const PATIENCE = 1000;
/** Milliseconds for which waiting at once may keep the event loop from its turn. */
const TURN = 10;
/** Bytes that are copied to the host at once. */
const PIECE = 4 << 20;

/** One for each JavaScript thread. */
export class Queue {
  private readonly native: Native;
  private readonly memory: unknown = alloc('double', WORDS);
  private readonly words = new Float64Array(view(this.memory, WORDS * 8));
  private readonly wordsAt = Number(nativeAddress(this.memory));
  /** Of the command that was asked for last: how many are done when it is. */
  private last = 0;
  /** By which what is asked for now can be left out; 0: not at all. */
  private flag = 0;
  private readonly flags = new WeakMap<AbortSignal, number>();
  private readonly lostSignals = new FinalizationRegistry<number>((flag) => this.drop(flag));
  private readonly watch: Watch;
  /** What is written down in place of being asked for: for each kernel its entry, the number of its arguments, these. */
  private script: number[] | undefined;
  private readonly giveBack: Enqueue;
  private readonly drop: Enqueue;

  constructor(private readonly library: Library) {
    this.native = bindNative(library);
    this.watch = new Watch(this.native);
    this.giveBack = this.always('ww_give_back');
    this.drop = this.always('ww_drop');
  }

  /** A kernel of the library. */
  kernel(name: string): Enqueue {
    const entry = this.entry(name);
    return (...args) => {
      if (this.script) this.script.push(entry, args.length, ...args);
      else this.enqueue(name, entry, args, this.flag);
    };
  }

  /** One that is never left out, nor part of a recording: what it gives back is nobody's. */
  private always(name: string): Enqueue {
    const entry = this.entry(name);
    return (...args) => this.enqueue(name, entry, args, 0);
  }

  private entry(name: string): number {
    return Number(this.library.symbol(`${name}_entry`));
  }

  private enqueue(name: string, entry: number, args: readonly number[], flag: number): void {
    const { native, words } = this;
    const n = args.length;
    if (n > WORDS) this.asked(native.enqueueFrom(entry, Float64Array.from(args), n, flag));
    else {
      for (let i = 0; i < n; i++) words[i] = args[i]!;
      const ticket = native.enqueue(entry, this.wordsAt, n, flag);
      if (ticket < 0) throw new TypeError(`${name} takes more than ${n} arguments`);
      this.asked(ticket);
    }
  }

  private asked(ticket: number): void {
    if (ticket <= 0) throw outOfMemory();
    this.last = ticket;
  }

  /** Writes down the kernels that `body` asks for; they run when the result is called, until it is disposed of. */
  record(body: () => void): Recording {
    if (this.script) throw new Error('a recording within a recording');
    const words: number[] = (this.script = []);
    try {
      body();
    } finally {
      this.script = undefined;
    }
    const { native } = this;
    const script = native.script(Float64Array.from(words), words.length);
    if (script < 0) throw new TypeError('a kernel takes more arguments than it was given');
    if (script === 0) throw outOfMemory();
    return {
      run: () => this.asked(native.replay(script, this.flag)),
      dispose: () => this.drop(script),
    };
  }

  /**
   * Runs `body`, whose kernels are left out, from where the queue then is, once the signal is aborted: what they were to write is then
   * anything. Copies from the host are not left out.
   */
  abortable<T>(signal: AbortSignal, body: () => T): T {
    const before = this.flag;
    this.flag = this.flagOf(signal);
    try {
      return body();
    } finally {
      this.flag = before;
    }
  }

  /** A signal's own, for as long as that lives. */
  private flagOf(signal: AbortSignal): number {
    const known = this.flags.get(signal);
    if (known !== undefined) return known;
    const { native } = this;
    const flag = native.flag();
    if (flag === 0) throw outOfMemory();
    this.flags.set(signal, flag);
    this.lostSignals.register(signal, flag);
    if (signal.aborted) native.cancel(flag);
    else signal.addEventListener('abort', () => native.cancel(flag), { once: true });
    return flag;
  }

  /** Copies host bytes to an address, in order; the source may change afterwards. */
  upload(data: ArrayBufferView, to: number): void {
    this.asked(this.native.upload(to, data, data.byteLength));
  }

  /** The bytes at an address once all that was asked before is done. */
  async download(from: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    if (length === 0) return bytes;
    const { native } = this;
    // The address may be another's as soon as this returns, and the array die with its thread: neither is what the queue knows.
    const block = native.block(length);
    if (block === 0) throw outOfMemory();
    this.asked(native.fetch(block, from, length));
    try {
      await this.watch.until(this.last);
    } catch (error) {
      this.drop(block);
      throw error;
    }
    for (let at = 0; at < length; at += PIECE) {
      if (at > 0) await new Promise(setImmediate);
      const part = bytes.subarray(at, at + PIECE);
      native.take(part, block, at, part.length);
    }
    native.unblock(block);
    return bytes;
  }

  /** When all that was asked so far is done. */
  synchronize(): Promise<void> {
    return this.watch.until(this.last);
  }

  /** Waits for that at once, however long it takes. */
  drain(): void {
    this.native.wait(this.last, -1);
  }

  /** Gives memory back to the system once nothing that was asked reads it. */
  free(memory: number, bytes: number): void {
    this.native.willFree(bytes);
    this.giveBack(memory, bytes);
  }

  /** Bytes on their way back to the system. */
  get unfreed(): number {
    return this.native.unfreed();
  }
}

/** Waiting for commands: shortly at once, else by a pipe that the event loop listens at while somebody waits. */
class Watch {
  private pipe: { readonly socket: Socket; readonly end: number } | undefined;
  private waiters: { readonly ticket: number; readonly resolve: () => void }[] = [];
  private readonly loop = new LoopWatch();

  constructor(private readonly native: Native) {}

  async until(ticket: number): Promise<void> {
    // What the caller asks for in one go comes before its waiting.
    await Promise.resolve();
    if (this.loop.held < TURN && this.native.wait(ticket, PATIENCE) === 1) return;
    const { socket, end } = (this.pipe ??= this.open());
    if (this.native.watch(end, ticket) === 0) throw outOfMemory();
    socket.ref();
    await new Promise<void>((resolve) => this.waiters.push({ ticket, resolve }));
  }

  private open(): { socket: Socket; end: number } {
    const ends = new Int32Array(2);
    if (this.native.pipe(ends) === 0)
      throw new UserError('no pipe can be opened: let the system allow more open files (ulimit -n)');
    const socket = new Socket({ fd: ends[0]!, readable: true, writable: false });
    socket.on('data', () => this.look());
    return { socket, end: ends[1]! };
  }

  private look(): void {
    const done = this.native.done();
    const ready = this.waiters.filter(({ ticket }) => ticket <= done);
    this.waiters = this.waiters.filter(({ ticket }) => ticket > done);
    // A program that waits for nothing may end.
    if (this.waiters.length === 0) this.pipe!.socket.unref();
    for (const { resolve } of ready) resolve();
  }
}

/** What queue.c offers besides entries; addresses are numbers. */
interface Native {
  enqueue(entry: number, words: number, count: number, flag: number): number;
  enqueueFrom(entry: number, words: Float64Array, count: number, flag: number): number;
  upload(to: number, from: ArrayBufferView, bytes: number): number;
  fetch(to: number, from: number, bytes: number): number;
  script(words: Float64Array, count: number): number;
  replay(script: number, flag: number): number;
  wait(ticket: number, microseconds: number): number;
  watch(end: number, ticket: number): number;
  done(): number;
  pipe(ends: Int32Array): number;
  block(bytes: number): number;
  unblock(block: number): void;
  take(to: Uint8Array, block: number, first: number, bytes: number): void;
  willFree(bytes: number): void;
  unfreed(): number;
  flag(): number;
  cancel(flag: number): void;
}

function bindNative(library: Library): Native {
  const bind = (prototype: string): never => library.func(prototype) as never;
  const words = (type: string): string =>
    `int64_t ww_enqueue(uint64_t entry, ${type} words, int64_t count, uint64_t flag)`;
  return {
    enqueue: bind(words('uint64_t')),
    enqueueFrom: bind(words('const double *')),
    upload: bind('int64_t ww_upload(uint64_t to, const void *from, size_t bytes)'),
    fetch: bind('int64_t ww_fetch(uint64_t to, uint64_t from, size_t bytes)'),
    script: bind('int64_t ww_script(const double *words, int64_t count)'),
    replay: bind('int64_t ww_replay(uint64_t script, uint64_t flag)'),
    wait: bind('int ww_wait(int64_t ticket, int64_t microseconds)'),
    watch: bind('int ww_watch(int end, int64_t ticket)'),
    done: bind('int64_t ww_done()'),
    pipe: bind('int ww_pipe(_Out_ int32_t *ends)'),
    block: bind('uint64_t ww_block(size_t bytes)'),
    unblock: bind('void ww_unblock(uint64_t block)'),
    take: bind('void ww_take(_Out_ uint8_t *to, uint64_t block, size_t first, size_t bytes)'),
    willFree: bind('void ww_will_free(int64_t bytes)'),
    unfreed: bind('int64_t ww_unfreed()'),
    flag: bind('uint64_t ww_flag()'),
    cancel: bind('void ww_cancel(uint64_t flag)'),
  };
}

function outOfMemory(): UserError {
  return new UserError(
    'the memory has no room left to enqueue work: take a smaller batch or shorter texts, or close other programs',
  );
}
