/** An NVIDIA GPU: its context, its one stream, and the launching of kernels on it. */

import { address as nativeAddress, alloc, view } from 'koffi';
import type { Profile } from '../contract.js';
import type { Span } from '../span.js';
import { UserError } from '../../util/errors.js';
import type { Defines, KernelCompiler } from './compile.js';
import { CudaError, type Driver } from './driver.js';

export type Grid = readonly [x: number, y: number, z: number];

/** A kernel of a compiled source. */
export interface Kernel {
  /** `args` as the kernel's parameters were declared; nothing is launched for an empty grid. */
  launch(grid: Grid, block: number, sharedBytes: number, ...args: number[]): void;
}

/** What the bindings of kernels know of a device. */
export interface CudaDevice {
  readonly name: string;
  /** 90 for compute capability 9.0. */
  readonly capability: number;
  readonly multiprocessors: number;
  /** The most dynamic shared memory that a block may ask for, in bytes. */
  readonly sharedPerBlock: number;
  /** The address of `count` i32 in which blocks of a kernel count each other: 0 between kernels. */
  readonly arrivals: { readonly at: number; readonly count: number };
  /**
   * The kernel `name` of kernels/`source`.cu, compiled when it is first launched. `parameters`: a letter for each, p pointer, i i32,
   * u u32, f f32, l i64, d f64.
   */
  kernel(source: string, name: string, parameters: string, defines?: Defines): Kernel;
  /**
   * Scratch memory, aligned to 256 bytes, for what `use` launches. All work is in order on one stream, so that afterwards the next may
   * have it.
   */
  withScratch(bytes: number, use: (address: number) => void): void;
}

/** The device's address of a span's first element. */
export function address({ buffer, offset }: Span): number {
  return (buffer.handle as number) + offset;
}

/** Attributes of cuda.h. */
const ATTRIBUTE = { multiprocessors: 16, major: 75, minor: 76, sharedPerBlock: 97 } as const;
const MAX_DYNAMIC_SHARED = 8;
/** Above it a kernel has to be told. */
const PLAIN_SHARED = 48 * 1024;
const LEAST_CAPABILITY = 75;
const OVERLAPPING = 90;

/** A driver without a GPU that it may use: no fault, but nothing to compute on. */
export class NoGpuError extends UserError {}

export interface DeviceProperties {
  readonly name: string;
  readonly capability: number;
  readonly multiprocessors: number;
  readonly sharedPerBlock: number;
  readonly memoryBytes: number;
}

/**
 * Makes the first visible device's context current (CUDA_VISIBLE_DEVICES, which the driver reads, says which are visible). Throws
 * NoGpuError where there is none, UserError for one that is too old.
 */
export function openDevice(driver: Driver): DeviceProperties {
  if (countDevices(driver) === 0) {
    const visible = process.env['CUDA_VISIBLE_DEVICES'];
    const why = visible === undefined ? '' : ` (CUDA_VISIBLE_DEVICES is '${visible}')`;
    throw new NoGpuError(`the NVIDIA driver shows no GPU${why}: choose --device cpu`);
  }
  const device = driver.get('cuDeviceGet', 0);
  const attribute = (which: keyof typeof ATTRIBUTE): number =>
    driver.get('cuDeviceGetAttribute', ATTRIBUTE[which], device);
  const text = Buffer.alloc(256);
  driver.call('cuDeviceGetName', text, text.length, device);
  const name = text.toString('utf8', 0, text.indexOf(0));
  const capability = attribute('major') * 10 + attribute('minor');
  if (capability < LEAST_CAPABILITY) {
    throw new UserError(
      `${name} has compute capability ${(capability / 10).toFixed(1)}; Westwind needs 7.5 or more: choose --device cpu`,
    );
  }
  driver.call('cuCtxSetCurrent', driver.get('cuDevicePrimaryCtxRetain', device));
  return {
    name,
    capability,
    multiprocessors: attribute('multiprocessors'),
    sharedPerBlock: attribute('sharedPerBlock'),
    memoryBytes: driver.get('cuDeviceTotalMem_v2', device),
  };
}

function countDevices(driver: Driver): number {
  try {
    driver.call('cuInit', 0);
  } catch (error) {
    if (error instanceof CudaError && error.code === 'CUDA_ERROR_NO_DEVICE') return 0;
    throw error;
  }
  return driver.get('cuDeviceGetCount');
}

/** Launches kernels on one stream. */
export class Launcher {
  private readonly modules = new Map<string, number>();
  private readonly kernels = new Map<string, Kernel>();
  private readonly arguments = new ArgumentMemory();
  /** Where a kernel may be launched before the one in front of it is done: it waits itself (kernels/prelude.cuh, wait_for_inputs). */
  private readonly configuration: LaunchConfiguration | undefined;
  private profiling: Map<string, [start: number, end: number][]> | undefined;

  constructor(
    private readonly driver: Driver,
    private readonly compiler: KernelCompiler,
    private readonly stream: number,
    capability: number,
  ) {
    if (capability >= OVERLAPPING) this.configuration = new LaunchConfiguration(stream);
  }

  kernel(source: string, name: string, parameters: string, defines: Defines = {}): Kernel {
    const module = `${source} ${JSON.stringify(defines)}`;
    const key = `${module} ${name}`;
    let kernel = this.kernels.get(key);
    if (!kernel) this.kernels.set(key, (kernel = this.bind(module, source, name, parameters, defines)));
    return kernel;
  }

  private bind(module: string, source: string, name: string, parameters: string, defines: Defines): Kernel {
    const { driver, stream, configuration } = this;
    const memory = this.arguments;
    const pack = packer(parameters);
    let handle = 0;
    let shared = PLAIN_SHARED;
    return {
      launch: (grid, block, sharedBytes, ...args) => {
        const [x, y, z] = grid;
        if (x === 0 || y === 0 || z === 0) return;
        if (handle === 0)
          handle = driver.get('cuModuleGetFunction', this.module(module, source, defines), name);
        if (sharedBytes > shared) {
          driver.call('cuFuncSetAttribute', handle, MAX_DYNAMIC_SHARED, sharedBytes);
          shared = sharedBytes;
        }
        if (args.length !== parameters.length)
          throw new Error(`${name} takes ${parameters.length} arguments, not ${args.length}`);
        memory.setSize(pack(memory.view, args));
        this.timed(name, () => {
          if (configuration)
            driver.launchAs(name, configuration.of(x, y, z, block, sharedBytes), handle, 0, memory.extra);
          else driver.launch(name, handle, x, y, z, block, 1, 1, sharedBytes, stream, 0, memory.extra);
        });
      },
    };
  }

  private module(key: string, source: string, defines: Defines): number {
    let module = this.modules.get(key);
    if (module === undefined) {
      module = this.load(source, defines);
      this.modules.set(key, module);
    }
    return module;
  }

  /** What lies in the cache may be damaged: then the kernel is compiled anew. */
  private load(source: string, defines: Defines): number {
    const { driver, compiler } = this;
    const { code, cached } = compiler.compile(source, defines);
    try {
      return driver.get('cuModuleLoadData', code);
    } catch (error) {
      if (!cached) throw error;
      return driver.get('cuModuleLoadData', compiler.compile(source, defines, true).code);
    }
  }

  /** Runs `enqueue`, between two events while somebody measures. */
  timed(name: string, enqueue: () => void): void {
    if (!this.profiling) {
      enqueue();
      return;
    }
    const start = this.driver.get('cuEventCreate', 0);
    const end = this.driver.get('cuEventCreate', 0);
    this.driver.call('cuEventRecord', start, this.stream);
    enqueue();
    this.driver.call('cuEventRecord', end, this.stream);
    const known = this.profiling.get(name);
    if (known) known.push([start, end]);
    else this.profiling.set(name, [[start, end]]);
  }

  get isProfiling(): boolean {
    return this.profiling !== undefined;
  }

  profile(): Profile {
    const { driver } = this;
    const events = (this.profiling = new Map<string, [number, number][]>());
    return {
      stop: () => {
        this.profiling = undefined;
        driver.call('cuStreamSynchronize', this.stream);
        const times = [...events].map(([name, pairs]) => {
          let milliseconds = 0;
          for (const [start, end] of pairs) {
            milliseconds += driver.get('cuEventElapsedTime', start, end);
            for (const event of [start, end]) driver.call('cuEventDestroy_v2', event);
          }
          return [name, { calls: pairs.length, milliseconds }] as const;
        });
        return Promise.resolve(new Map(times));
      },
    };
  }
}

/** Native memory for one launch's arguments: the driver copies them before the call returns, so that one block serves all. */
class ArgumentMemory {
  readonly view: DataView;
  /** What cuLaunchKernel takes as `extra`: a list that says where the arguments are and how many bytes they have. */
  readonly extra: number;
  private readonly size: DataView;
  /** Keeps the memory alive. */
  private readonly block: unknown;

  constructor() {
    const [argumentBytes, listBytes] = [1024, 64];
    this.block = alloc('uint8_t', argumentBytes + listBytes);
    const start = nativeAddress(this.block);
    const memory = view(this.block, argumentBytes + listBytes);
    this.view = new DataView(memory, 0, argumentBytes);
    const list = new DataView(memory, argumentBytes, listBytes);
    const sizeOffset = 40;
    const entries = [1n, start, 2n, start + BigInt(argumentBytes + sizeOffset), 0n];
    entries.forEach((entry, i) => list.setBigUint64(i * 8, entry, true));
    this.size = new DataView(memory, argumentBytes + sizeOffset, 8);
    this.size.setUint32(4, 0, true);
    this.extra = Number(start) + argumentBytes;
  }

  setSize(bytes: number): void {
    this.size.setUint32(0, bytes, true);
  }
}

/** A CUlaunchConfig with one attribute, programmatic stream serialization. */
class LaunchConfiguration {
  private readonly at: number;
  private readonly view: DataView;
  private readonly block: unknown;

  constructor(stream: number) {
    const [configBytes, attributeBytes] = [56, 72];
    this.block = alloc('uint8_t', configBytes + attributeBytes);
    const start = nativeAddress(this.block);
    this.at = Number(start);
    this.view = new DataView(view(this.block, configBytes + attributeBytes));
    for (let i = 0; i < configBytes + attributeBytes; i += 4) this.view.setUint32(i, 0, true);
    this.view.setBigUint64(32, BigInt(stream), true);
    this.view.setBigUint64(40, start + BigInt(configBytes), true);
    this.view.setUint32(48, 1, true);
    const PROGRAMMATIC_STREAM_SERIALIZATION = 6;
    this.view.setUint32(configBytes, PROGRAMMATIC_STREAM_SERIALIZATION, true);
    this.view.setInt32(configBytes + 8, 1, true);
  }

  /** The address of the configuration of such a launch. */
  of(x: number, y: number, z: number, block: number, sharedBytes: number): number {
    [x, y, z, block, 1, 1, sharedBytes].forEach((value, i) => this.view.setUint32(i * 4, value, true));
    return this.at;
  }
}

type Pack = (memory: DataView, args: readonly number[]) => number;

/** Writes arguments as C lays out a kernel's parameters: each on a multiple of its own size. */
export function packer(parameters: string): Pack {
  let end = 0;
  const fields = Array.from(parameters, (letter) => {
    const bytes = 'pld'.includes(letter) ? 8 : 4;
    const offset = Math.ceil(end / bytes) * bytes;
    end = offset + bytes;
    return { letter, offset };
  });
  const size = end;
  return (memory, args) => {
    for (let i = 0; i < fields.length; i++) {
      const { letter, offset } = fields[i]!;
      const value = args[i]!;
      switch (letter) {
        case 'i':
          memory.setInt32(offset, value, true);
          break;
        case 'u':
          memory.setUint32(offset, value, true);
          break;
        case 'f':
          memory.setFloat32(offset, value, true);
          break;
        case 'd':
          memory.setFloat64(offset, value, true);
          break;
        case 'p':
        case 'l':
          memory.setUint32(offset, value >>> 0, true);
          memory.setInt32(offset + 4, Math.floor(value / 2 ** 32), true);
          break;
        default:
          throw new Error(`'${letter}' is no kernel's parameter`);
      }
    }
    return size;
  };
}
