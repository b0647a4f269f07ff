/**
 * The `cuda` backend: NVIDIA GPUs by the driver's API, NVRTC and cuBLASLt, which are found and called at run time. What a kernel's call
 * enqueues stands on one stream, behind everything before it.
 */

import { checkedBackend, type CheckedBackend } from '../checked.js';
import type { Backend } from '../contract.js';
import type { DeviceBuffer } from '../span.js';
import type { Kernels } from '../kernels.js';
import { imaginedBackend, ImaginedMemory } from '../imagined.js';
import { loraByGemm } from '../lora.js';
import { bindActivations } from './bind-activation.js';
import { bindAttention } from './bind-attention.js';
import { MAX_HEAD_DIM } from './bind-attention-tiles.js';
import { bindElementwise } from './bind-elementwise.js';
import { bindGemm } from './bind-gemm.js';
import { bindLogits } from './bind-logits.js';
import { bindLora } from './bind-lora.js';
import { bindNf4 } from './bind-nf4.js';
import { bindLayerNorm, bindRmsNorm } from './bind-norm.js';
import { bindOptimizer } from './bind-optimizer.js';
import { bindRandom } from './bind-random.js';
import { bindSumRows } from './bind-reduce.js';
import { bindRope } from './bind-rope.js';
import { bindRowsOfTables } from './bind-rows-of-tables.js';
import { bindRows } from './bind-rows.js';
import { bindPrepare } from './bind-thin.js';
import { createBlas, wakeBlas, WORKSPACE_BYTES, type Blas } from './blas.js';
import { createCompiler } from './compile.js';
import { Launcher, openDevice, type CudaDevice } from './device.js';
import { Driver } from './driver.js';
import { driverLibrary, toolkitLibraries } from './libraries.js';
import { CudaMemory } from './memory.js';

export { NoGpuError } from './device.js';

/** Enough for the tiles of a vocabulary's product. */
const ARRIVALS = 4096;
const NON_BLOCKING = 1;
const CAPTURE_RELAXED = 2;

let opened: CheckedBackend | undefined;

/** The first visible GPU, which a process opens once. Throws UserError where none can be used. */
export function createCudaBackend(): CheckedBackend {
  // Before 8.0 a model has no activations in bf16; the kernels take them nevertheless.
  return (opened ??= checkedBackend(open(), { activations: ['f32', 'bf16'], headDim: MAX_HEAD_DIM }));
}

function open(): Backend {
  const driver = new Driver(driverLibrary());
  const properties = openDevice(driver);
  const libraries = toolkitLibraries(process.env, Math.floor(driver.get('cuDriverGetVersion') / 1000));
  const stream = driver.get('cuStreamCreate', NON_BLOCKING);
  const launcher = new Launcher(
    driver,
    createCompiler(libraries.nvrtc, properties.capability),
    stream,
    properties.capability,
  );
  const memory = new CudaMemory(driver, stream, properties.name);
  const arrivals = memory.alloc(ARRIVALS * 4, 'device');
  memory.upload(new Int32Array(ARRIVALS), { buffer: arrivals, offset: 0, dtype: 'i32', length: ARRIVALS });
  const device: CudaDevice = {
    ...properties,
    arrivals: { at: arrivals.handle as number, count: ARRIVALS },
    kernel: (...args) => launcher.kernel(...args),
    withScratch: (bytes, use) => memory.withScratch(bytes, use),
  };
  const workspace = memory.alloc(WORKSPACE_BYTES, 'device').handle as number;
  const blas = createBlas(libraries.cublasLt, stream, workspace, (name, enqueue) =>
    launcher.timed(name, enqueue),
  );
  wakeBlas(blas, properties.capability < 80 ? ['f32'] : ['f32', 'bf16'], workspace);
  const alloc = (bytes: number, place: 'device' | 'host' = 'device'): DeviceBuffer =>
    memory.alloc(bytes, place);
  const free = (buffer: DeviceBuffer): void => memory.free(buffer);
  return {
    ...likeness(properties.capability),
    description: `${properties.name}, ${(properties.memoryBytes / 2 ** 30).toFixed(0)} GiB, compute capability ${(properties.capability / 10).toFixed(1)}${properties.capability < 80 ? ' (too old for bfloat16: float32 throughout)' : ''}`,
    arithmetic: `${properties.name}, compute capability ${properties.capability / 10}`,
    kernels: bindKernels(device, blas, { alloc, free }),
    alloc,
    free,
    upload: (data, to) => memory.upload(data, to),
    download: (from) => memory.download(from),
    synchronize: () => memory.synchronize(),
    // What is on the stream cannot be called back; it is done in tenths of a second.
    abortable: (_, body) => body(),
    record(body) {
      // Single kernels of a graph cannot be timed.
      if (launcher.isProfiling) return { run: body, dispose: () => undefined };
      let graph = 0;
      driver.call('cuStreamBeginCapture_v2', stream, CAPTURE_RELAXED);
      const apart = memory.apart(() => {
        try {
          body();
        } catch (error) {
          // What was captured is worth nothing, and says less than the fault.
          driver.abandonCapture(stream);
          throw error;
        }
        const out: [number | bigint] = [0];
        driver.call('cuStreamEndCapture', stream, out);
        graph = Number(out[0]);
      });
      let exec: number;
      try {
        exec = driver.get('cuGraphInstantiateWithFlags', graph, 0);
      } catch (error) {
        apart.release();
        throw error;
      } finally {
        driver.call('cuGraphDestroy', graph);
      }
      return {
        run: () => driver.call('cuGraphLaunch', exec, stream),
        dispose() {
          driver.call('cuStreamSynchronize', stream);
          driver.call('cuGraphExecDestroy', exec);
          apart.release();
        },
      };
    },
    staging: (bytes) => memory.staging(bytes),
    available: () => memory.available(),
    memory: () => memory.use(),
    resetPeak: () => memory.resetPeak(),
    trim: () => memory.trim(),
    profile: () => launcher.profile(),
  };
}

/** A backend that lays out memory as this one does on a card of compute capability 9.0, and computes nothing. */
export function createImaginedCuda(): Backend {
  const memory = new ImaginedMemory();
  const alloc = (bytes: number): DeviceBuffer => memory.pool.alloc(bytes);
  const free = (buffer: DeviceBuffer): void => memory.pool.free(buffer);
  const device: CudaDevice = {
    name: 'imagined',
    capability: 90,
    multiprocessors: 132,
    sharedPerBlock: 227 << 10,
    arrivals: { at: alloc(ARRIVALS * 4).handle as number, count: ARRIVALS },
    kernel: () => ({ launch: () => undefined }),
    withScratch(bytes, use) {
      const buffer = alloc(bytes);
      use(buffer.handle as number);
      free(buffer);
    },
  };
  alloc(WORKSPACE_BYTES);
  const kernels = bindKernels(device, { matmul: () => undefined }, { alloc, free });
  return imaginedBackend({ ...likeness(90), arithmetic: '' }, memory, kernels);
}

function likeness(
  capability: number,
): Pick<Backend, 'name' | 'fastBf16' | 'activations' | 'batchInvariant' | 'runsAhead'> {
  const bf16 = capability >= 80;
  return {
    name: 'cuda',
    fastBf16: bf16,
    activations: bf16 ? 'bf16' : 'f32',
    // The library chooses its tiles by the whole shape.
    batchInvariant: false,
    runsAhead: true,
  };
}

function bindKernels(
  device: CudaDevice,
  blas: Blas,
  memory: { alloc: (bytes: number) => DeviceBuffer; free: (buffer: DeviceBuffer) => void },
): Kernels {
  const plain = {
    ...bindElementwise(device),
    ...bindActivations(device),
    ...bindRandom(device),
    ...bindOptimizer(device),
    ...bindRmsNorm(device),
    ...bindLayerNorm(device),
    ...bindSumRows(device),
    ...bindRope(device),
    ...bindRowsOfTables(device),
    ...bindLogits(device),
    ...bindAttention(device),
    ...bindNf4(device),
  };
  const prepare = bindPrepare(device);
  const products = bindGemm(device, { ...plain, blas, prepare, rows: bindRows(device, prepare) });
  return { ...plain, ...products, ...bindLora(device, loraByGemm({ ...plain, ...memory, ...products })) };
}
