/**
 * The CUDA driver's API as typed functions, each of which throws what the driver says when it fails. Handles and device addresses are
 * numbers: they stay below 2^53. Signatures follow cuda.h of CUDA 12 and 13.
 */

import { load, type LibraryHandle } from 'koffi';

/** A call of the driver that failed: `code` is CUresult's name. */
export class CudaError extends Error {
  override readonly name = 'CudaError';

  constructor(
    readonly call: string,
    readonly code: string,
    text: string,
  ) {
    super(`${call} failed: ${code} (${text})`);
  }
}

export const OUT_OF_MEMORY = 'CUDA_ERROR_OUT_OF_MEMORY';
const NOT_READY = 600;

/** Their parameters; what stands behind a # tells two ways of calling one function apart. */
const CALLS = {
  cuInit: 'uint32_t flags',
  cuDriverGetVersion: '_Out_ int *version',
  cuDeviceGetCount: '_Out_ int *count',
  cuDeviceGet: '_Out_ int *device, int ordinal',
  cuDeviceGetName: '_Out_ char *name, int length, int device',
  cuDeviceGetAttribute: '_Out_ int *value, int attribute, int device',
  cuDeviceTotalMem_v2: '_Out_ uint64_t *bytes, int device',
  cuDevicePrimaryCtxRetain: '_Out_ uint64_t *context, int device',
  cuCtxSetCurrent: 'uint64_t context',
  cuMemAlloc_v2: '_Out_ uint64_t *address, uint64_t bytes',
  cuMemFree_v2: 'uint64_t address',
  cuMemGetInfo_v2: '_Out_ uint64_t *free, _Out_ uint64_t *total',
  cuMemHostAlloc: '_Out_ uint64_t *address, uint64_t bytes, uint32_t flags',
  cuMemFreeHost: 'uint64_t address',
  cuMemcpyHtoDAsync_v2: 'uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream',
  'cuMemcpyHtoDAsync_v2#pageable': 'uint64_t to, const void *from, uint64_t bytes, uint64_t stream',
  cuMemcpyDtoHAsync_v2: 'uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream',
  cuStreamCreate: '_Out_ uint64_t *stream, uint32_t flags',
  cuStreamSynchronize: 'uint64_t stream',
  cuEventCreate: '_Out_ uint64_t *event, uint32_t flags',
  cuEventRecord: 'uint64_t event, uint64_t stream',
  cuEventSynchronize: 'uint64_t event',
  cuEventElapsedTime: '_Out_ float *milliseconds, uint64_t start, uint64_t end',
  cuEventDestroy_v2: 'uint64_t event',
  cuModuleLoadData: '_Out_ uint64_t *module, const void *image',
  cuModuleGetFunction: '_Out_ uint64_t *function, uint64_t module, const char *name',
  cuFuncSetAttribute: 'uint64_t function, int attribute, int value',
  cuLaunchKernel:
    'uint64_t function, uint32_t gridX, uint32_t gridY, uint32_t gridZ, uint32_t blockX, uint32_t blockY, uint32_t blockZ, ' +
    'uint32_t sharedBytes, uint64_t stream, uint64_t parameters, uint64_t extra',
  cuLaunchKernelEx: 'uint64_t config, uint64_t function, uint64_t parameters, uint64_t extra',
  cuStreamBeginCapture_v2: 'uint64_t stream, int mode',
  cuStreamEndCapture: 'uint64_t stream, _Out_ uint64_t *graph',
  cuGraphInstantiateWithFlags: '_Out_ uint64_t *exec, uint64_t graph, uint64_t flags',
  cuGraphLaunch: 'uint64_t exec, uint64_t stream',
  cuGraphExecDestroy: 'uint64_t exec',
  cuGraphDestroy: 'uint64_t graph',
} as const;

type Name = keyof typeof CALLS;
type Native = (...args: unknown[]) => number;

export class Driver {
  private readonly library: LibraryHandle;
  private readonly functions = new Map<Name, Native>();
  private readonly errorName: (code: number, text: [string | null]) => number;
  private readonly errorText: (code: number, text: [string | null]) => number;
  private readonly eventQuery: (event: number) => number;
  private readonly launchKernel: (...args: number[]) => number;
  private launchKernelEx: ((...args: number[]) => number) | undefined;

  /** Throws where the file is no CUDA driver. */
  constructor(path: string) {
    this.library = load(path);
    const text = (name: string): ((code: number, text: [string | null]) => number) =>
      this.library.func(`int ${name}(int code, _Out_ const char **text)`) as never;
    this.errorName = text('cuGetErrorName');
    this.errorText = text('cuGetErrorString');
    this.eventQuery = this.library.func('int cuEventQuery(uint64_t event)') as never;
    this.launchKernel = this.library.func(`int cuLaunchKernel(${CALLS.cuLaunchKernel})`) as never;
  }

  /** Calls a function of the driver; throws CudaError when it does not return success. */
  call(name: Name, ...args: unknown[]): void {
    const result = this.native(name)(...args);
    if (result !== 0) throw this.fault(name, result);
  }

  /** A call whose first parameter is where its result goes. */
  get(name: Name, ...args: unknown[]): number {
    const out: [number | bigint] = [0];
    this.call(name, out, ...args);
    return Number(out[0]);
  }

  /** The path that runs thousands of times a second. */
  launch(what: string, ...args: number[]): void {
    const result = this.launchKernel(...args);
    if (result !== 0) throw this.fault(`the launch of ${what}`, result);
  }

  /** The same by a launch's configuration (CUDA 11.8 up). */
  launchAs(what: string, ...args: number[]): void {
    this.launchKernelEx ??= this.native('cuLaunchKernelEx') as (...args: number[]) => number;
    const result = this.launchKernelEx(...args);
    if (result !== 0) throw this.fault(`the launch of ${what}`, result);
  }

  /** Ends a capture whose graph nobody wants. */
  abandonCapture(stream: number): void {
    const out: [number | bigint] = [0];
    if (this.native('cuStreamEndCapture')(stream, out) === 0 && out[0] !== 0)
      this.native('cuGraphDestroy')(Number(out[0]));
  }

  /** Whether all that stood before an event on its stream is done. */
  isDone(event: number): boolean {
    const result = this.eventQuery(event);
    if (result !== 0 && result !== NOT_READY) throw this.fault('cuEventQuery', result);
    return result === 0;
  }

  private native(name: Name): Native {
    let native = this.functions.get(name);
    if (!native) {
      native = this.library.func(`int ${name.split('#')[0]!}(${CALLS[name]})`);
      this.functions.set(name, native);
    }
    return native;
  }

  private fault(call: string, code: number): CudaError {
    const name: [string | null] = [null];
    const text: [string | null] = [null];
    this.errorName(code, name);
    this.errorText(code, text);
    return new CudaError(
      call.replace(/(_v\d)?(#.*)?$/, ''),
      name[0] ?? `error ${code}`,
      text[0] ?? 'no description',
    );
  }
}
