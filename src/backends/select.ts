/** From the name of a device to its backend, with the way out where a machine cannot offer what would be best. */

import { messageOf, UserError } from '../util/errors.js';
import type { CheckedBackend } from './checked.js';
import type { BlockKernels } from './cpu/blocks.js';
import type { Backend, DeviceName } from './contract.js';
import { findDriver } from './cuda/libraries.js';
import { idleKernels, imaginedBackend, ImaginedMemory } from './imagined.js';
import { createReferenceBackend } from './reference/index.js';

export interface BackendOptions {
  /** Threads of the cpu backend; all cores where absent. */
  readonly threads?: number;
}

export interface SelectedBackend {
  readonly backend: Backend;
  /** One line for people, where the backend is not the one that `auto` would rather have taken. */
  readonly notice?: string;
}

type Opener = (options: BackendOptions) => Promise<CheckedBackend>;

/** Loaded only when asked for: `cpu` brings native code along. */
const OPENERS: Readonly<Record<DeviceName, Opener>> = {
  cuda: async () => (await import('./cuda/index.js')).createCudaBackend(),
  cpu: async (options) => (await import('./cpu/index.js')).createCpuBackend(options),
  reference: () => Promise.resolve(createReferenceBackend()),
};

/**
 * The backend of a name, or with 'auto' the fastest that works here. Throws UserError for a name that is unknown and for a backend
 * that was asked for by name and does not work here.
 */
export async function createBackend(name: string, options: BackendOptions = {}): Promise<SelectedBackend> {
  if (name === 'auto') return best(options);
  if (!isDevice(name)) {
    const names = ['auto', ...Object.keys(OPENERS)];
    throw new UserError(
      `unknown device '${name}': choose ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`,
    );
  }
  try {
    return { backend: await OPENERS[name](options) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`the ${name} backend does not work here: ${messageOf(error)}`, { cause: error });
  }
}

async function best(options: BackendOptions): Promise<SelectedBackend> {
  const notices: string[] = [];
  const select = (backend: Backend): SelectedBackend =>
    notices.length > 0 ? { backend, notice: notices.join('; ') } : { backend };
  // A machine without a GPU hears nothing of CUDA.
  if (findDriver() !== undefined) {
    const { createCudaBackend, NoGpuError } = await import('./cuda/index.js');
    try {
      return { backend: createCudaBackend() };
    } catch (error) {
      if (!(error instanceof NoGpuError))
        notices.push(
          `the GPU is not used: ${messageOf(error).replace(/, or choose --device cpu|: choose --device cpu/, '')}`,
        );
    }
  }
  try {
    return select(await OPENERS.cpu(options));
  } catch (error) {
    notices.push(`the cpu backend does not work here, the slow reference is used: ${messageOf(error)}`);
    return select(await OPENERS.reference(options));
  }
}

/**
 * GGUF's blocks by the CPU's kernels, whatever device computes; undefined for the reference, and where they do not work: theirs are the same
 * bits.
 */
export async function blockKernels({ name }: Pick<Backend, 'name'>): Promise<BlockKernels | undefined> {
  if (name === 'reference') return undefined;
  try {
    return (await import('./cpu/index.js')).hostBlocks();
  } catch {
    return undefined;
  }
}

/** A backend that lays out memory as the named one does, and computes nothing: for plans. */
export async function createPlanBackend(name: DeviceName): Promise<Backend> {
  if (name === 'cuda') return (await import('./cuda/index.js')).createImaginedCuda();
  const like = {
    name,
    activations: 'f32',
    batchInvariant: true,
    runsAhead: false,
    arithmetic: '',
    fastBf16: false,
  } as const;
  const { kernels } = createReferenceBackend();
  return imaginedBackend(like, new ImaginedMemory(), idleKernels(Object.keys(kernels)));
}

function isDevice(name: string): name is DeviceName {
  return Object.hasOwn(OPENERS, name);
}
