/**
 * The `cpu` backend: C kernels on all cores, in the process's own memory, so that a buffer's handle is its address. They run behind the
 * host, in order (queue.ts), so that a freed block may be handed out again at once: whoever gets it comes later.
 */

import { availableParallelism, cpus, freemem } from 'node:os';
import { checkedBackend, type CheckedBackend } from '../checked.js';
import type { Backend, Recording } from '../contract.js';
import { BYTES_PER_ELEMENT, type DeviceBuffer } from '../span.js';
import { loraByGemm } from '../lora.js';
import { Pool } from '../pool.js';
import { environment } from '../../util/environment.js';
import { UserError } from '../../util/errors.js';
import { bindGemm } from './bind-gemm.js';
import { bindBlocks, type BlockKernels } from './blocks.js';
import { bindOther } from './bind-other.js';
import { compileKernels } from './compile.js';
import { address, openLibrary, type Library } from './library.js';
import { Queue } from './queue.js';

export interface CpuOptions {
  /** Threads of the kernels; WESTWIND_THREADS, else every core that the process may use. The results' bits do not depend on it. */
  readonly threads?: number;
}

let loaded: { readonly library: Library; readonly queue: Queue } | undefined;

/**
 * Compiles the kernels if need be and starts the threads, which all `cpu` backends of a process share: the last one made says how
 * many. Throws UserError where there is no compiler.
 */
export function createCpuBackend(options: CpuOptions = {}): CheckedBackend {
  const { library, queue } = (loaded ??= load());
  const setThreads = library.func('int ww_set_threads(int threads)') as (threads: number) => number;
  const instructionSet = library.func('const char *ww_instruction_set()') as () => string;
  const hasBf16 = library.func('int ww_has_bf16()') as () => number;
  const fastBf16 = hasBf16() === 1;
  const allocate = library.func('uint64_t ww_alloc(size_t bytes)') as (bytes: number) => number;

  const threads = setThreads(options.threads ?? threadsAsked());
  const pool = new Pool<number>(
    {
      alloc(bytes) {
        const memory = allocate(bytes);
        if (memory !== 0) return memory;
        // What is on its way back to the system may be enough.
        queue.drain();
        return allocate(bytes) || undefined;
      },
      free: (memory, bytes) => queue.free(memory, bytes),
    },
    'the memory',
  );
  const alloc = (bytes: number): DeviceBuffer => pool.alloc(bytes);
  const free = (buffer: DeviceBuffer): void => pool.free(buffer);
  // One block for all that is read: dead ones would pile up until V8 looks.
  let staging = new Uint8Array(0);
  const plain = { ...bindGemm(queue), ...bindOther(queue) };
  const backend: Backend = {
    name: 'cpu',
    description: `${cpus()[0]?.model.trim() ?? 'CPU'}, ${threads} thread${threads === 1 ? '' : 's'}, ${instructionSet()}`,
    arithmetic: `${instructionSet()}${fastBf16 ? ', bfloat16 products' : ''}`,
    fastBf16,
    activations: 'f32',
    runsAhead: false,
    batchInvariant: true,
    kernels: { ...plain, ...loraByGemm({ ...plain, alloc, free }) },
    alloc,
    free,
    upload(data, to) {
      if (data.byteLength > 0) queue.upload(data, address(to));
    },
    download: (from) => queue.download(address(from), from.length * BYTES_PER_ELEMENT[from.dtype]),
    synchronize: () => queue.synchronize(),
    abortable: (signal, body) => queue.abortable(signal, body),
    record(body) {
      let recording: Recording | undefined;
      const apart = pool.apart(() => (recording = queue.record(body)));
      return {
        run: () => recording!.run(),
        dispose() {
          apart.release();
          recording!.dispose();
        },
      };
    },
    staging(bytes) {
      if (staging.byteLength < bytes) staging = new Uint8Array(bytes);
      return staging;
    },
    available: () => freemem() + queue.unfreed,
    memory: () => pool.use(),
    resetPeak: () => pool.resetPeak(),
    trim() {
      pool.trim();
      staging = new Uint8Array(0);
    },
  };
  return checkedBackend(backend, { activations: ['f32'], headDim: Infinity });
}

let blocks: BlockKernels | undefined;

/** The kernels of GGUF's blocks, for whatever device computes. Throws UserError where there is no compiler. */
export function hostBlocks(): BlockKernels {
  if (!loaded) {
    loaded = load();
    (loaded.library.func('int ww_set_threads(int threads)') as (threads: number) => number)(threadsAsked());
  }
  return (blocks ??= bindBlocks(loaded.library));
}

function load(): { library: Library; queue: Queue } {
  const library = openLibrary(compileKernels().path);
  return { library, queue: new Queue(library) };
}

function threadsAsked(): number {
  const asked = environment('WESTWIND_THREADS');
  if (asked === undefined) return availableParallelism();
  const threads = Number(asked);
  if (!Number.isInteger(threads) || threads < 1)
    throw new UserError(`WESTWIND_THREADS is ${asked}: give a whole number of threads, 1 or more`);
  return threads;
}
