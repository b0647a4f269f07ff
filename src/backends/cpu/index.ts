/**
 * The `cpu` backend: C kernels on all cores, in the process's own memory, so that every call is done when it returns and a buffer's
 * handle is its address.
 */

import { availableParallelism, cpus, freemem } from 'node:os';
import { checkedBackend, type CheckedBackend } from '../checked.js';
import { BYTES_PER_ELEMENT, type Backend, type DeviceBuffer } from '../contract.js';
import { loraByGemm } from '../lora.js';
import { Pool } from '../pool.js';
import { UserError } from '../../util/errors.js';
import { bindGemm } from './bind-gemm.js';
import { bindOther } from './bind-other.js';
import { compileKernels } from './compile.js';
import { address, openLibrary, type Library } from './library.js';

export interface CpuOptions {
  /** Threads of the kernels; WESTWIND_THREADS, else every core that the process may use. The results' bits do not depend on it. */
  readonly threads?: number;
}

let loaded: Library | undefined;

/**
 * Compiles the kernels if need be and starts the threads, which all `cpu` backends of a process share: the last one made says how
 * many. Throws UserError where there is no compiler.
 */
export function createCpuBackend(options: CpuOptions = {}): CheckedBackend {
  const library = (loaded ??= openLibrary(compileKernels().path));
  const setThreads = library.func('int ww_set_threads(int threads)') as (threads: number) => number;
  const instructionSet = library.func('const char *ww_instruction_set()') as () => string;
  const hasBf16 = library.func('int ww_has_bf16()') as () => number;
  const fastBf16 = hasBf16() === 1;
  const allocate = library.func('uint64_t ww_alloc(size_t bytes)') as (bytes: number) => number;
  const release = library.func('void ww_free(uint64_t memory, size_t bytes)') as (
    memory: number,
    bytes: number,
  ) => void;
  const upload = library.func('void ww_upload(uint64_t to, const void *from, size_t bytes)') as (
    to: number,
    from: ArrayBufferView,
    bytes: number,
  ) => void;
  const download = library.func('void ww_download(_Out_ uint8_t *to, uint64_t from, size_t bytes)') as (
    to: Uint8Array,
    from: number,
    bytes: number,
  ) => void;

  const threads = setThreads(options.threads ?? threadsAsked());
  const pool = new Pool<number>(
    { alloc: (bytes) => allocate(bytes) || undefined, free: release },
    'the memory',
  );
  const alloc = (bytes: number): DeviceBuffer => pool.alloc(bytes);
  const free = (buffer: DeviceBuffer): void => pool.free(buffer);
  // One block for all that is read: dead ones would pile up until V8 looks.
  let staging = new Uint8Array(0);
  const plain = { ...bindGemm(library), ...bindOther(library) };
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
      if (data.byteLength > 0) upload(address(to), data, data.byteLength);
    },
    download(from) {
      const bytes = new Uint8Array(from.length * BYTES_PER_ELEMENT[from.dtype]);
      if (bytes.length > 0) download(bytes, address(from), bytes.length);
      return Promise.resolve(bytes);
    },
    synchronize: () => Promise.resolve(),
    record: (body) => ({ run: body, dispose: () => undefined }),
    staging(bytes) {
      if (staging.byteLength < bytes) staging = new Uint8Array(bytes);
      return staging;
    },
    available: () => freemem(),
    memory: () => pool.use(),
    resetPeak: () => pool.resetPeak(),
    trim() {
      pool.trim();
      staging = new Uint8Array(0);
    },
  };
  return checkedBackend(backend, { activations: ['f32'], headDim: Infinity });
}

function threadsAsked(): number {
  const asked = process.env['WESTWIND_THREADS'];
  if (asked === undefined || asked === '') return availableParallelism();
  const threads = Number(asked);
  if (!Number.isInteger(threads) || threads < 1)
    throw new UserError(`WESTWIND_THREADS is ${asked}: give a whole number of threads, 1 or more`);
  return threads;
}
