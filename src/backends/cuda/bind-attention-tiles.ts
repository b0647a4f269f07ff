/**
 * The kernels of attention whose blocks own rows of a sequence, with their tile sizes: on tensor cores where type, head size and card
 * allow, else in plain f32 arithmetic. Whether a call is causal and has a bias are defines: a call without them is what it would be if
 * there were no others.
 */

import type { DType, Span } from '../span.js';
import type { AttentionShape } from '../kernels.js';
import { remembered } from './arguments.js';
import type { Defines } from './compile.js';
import { address, type CudaDevice, type Kernel } from './device.js';

/** Threads of every block, but for dBias' sums: four warps. */
export const ATTENTION_BLOCK = 128;
/** The most that the kernels' registers take. */
export const MAX_HEAD_DIM = 256;

const C_TYPE: Partial<Record<DType, string>> = { f32: 'float', bf16: 'bf16' };

/** A kernel over sequences with its tile sizes: rows that a block owns, bytes of shared memory. */
export interface Tiled {
  readonly kernel: Kernel;
  readonly rows: number;
  readonly shared: number;
}
type Stage = 'forward' | 'dq' | 'dkv';
type FlashStage = Stage | 'cached';

const PARAMETERS: Readonly<Record<FlashStage, string>> = {
  forward: 'ppppppppiiiifi',
  dq: 'ppppppppppppiiiifi',
  dkv: 'pppppppppppiiiifi',
  cached: 'ppppppiiiifipi',
};
const GENERIC: Readonly<Record<Stage, string>> = {
  forward: 'ww_attention',
  dq: 'ww_attention_dq',
  dkv: 'ww_attention_dkv',
};

/** What of a call changes its kernels, as their defines. */
type Variant = Readonly<Partial<Record<'RANGED' | 'BIAS' | 'DBIAS', 1>>>;

export function variantOf(
  shape: Pick<AttentionShape, 'bias'> & { causal?: boolean; dBias?: Span | undefined },
): Variant {
  return {
    ...(shape.causal === false && { RANGED: 1 }),
    ...(shape.bias && { BIAS: 1 }),
    ...(shape.dBias && { DBIAS: 1 }),
  };
}

export interface AttentionTiles {
  /** The kernel in plain f32 arithmetic. */
  readonly generic: (stage: Stage, type: DType, headDim: number, variant: Variant) => Tiled;
  /** The kernel on tensor cores, if the card has the shared memory for one; its steps as large as let two blocks share a processor. */
  readonly flash: (stage: FlashStage, headDim: number, variant: Variant) => Tiled | undefined;
}

export function bindAttentionTiles(device: CudaDevice): AttentionTiles {
  const generics = remembered<Tiled>();
  const flashed = remembered<Tiled | null>();

  function generic(stage: Stage, type: DType, headDim: number, variant: Variant): Tiled {
    return generics(`${stage} ${type} ${headDim} ${JSON.stringify(variant)}`, () => {
      const bytes = (rows: number): number =>
        ((stage === 'forward' ? 1 : 2) * 4 * rows + 32) * (headDim | 1) * 4;
      const rows = bytes(4) <= device.sharedPerBlock ? 4 : 2;
      const defines = { T: attentionType(type), HEAD_DIM: headDim, ROWS: rows, ...variant };
      const kernel = device.kernel('attention', GENERIC[stage], PARAMETERS[stage], defines);
      return { kernel, rows: 4 * rows, shared: bytes(rows) };
    });
  }

  function flash(stage: FlashStage, headDim: number, variant: Variant): Tiled | undefined {
    const found = flashed(`${stage} ${headDim} ${JSON.stringify(variant)}`, () => {
      const rows = stage === 'dkv' || headDim > 128 ? 64 : 128;
      const forward = stage === 'forward' || stage === 'cached';
      const bytes = (step: number): number =>
        ((forward ? 1 : 2) * rows + 4 * step) * (headDim + 8) * 2 +
        (stage === 'dkv' ? 16 * step : 0) +
        (variant.BIAS && stage !== 'cached' ? 8 * (rows + step) : 0) +
        (variant.DBIAS ? 16 * (8 * (rows / 4 + step - 8) + rows / 4) : 0);
      const steps = stage === 'dq' ? [32, 16] : [64, 32, 16];
      const step =
        steps.find((n) => 2 * (bytes(n) + 1024) <= device.sharedPerBlock + 1024) ??
        steps.find((n) => bytes(n) <= device.sharedPerBlock);
      if (step === undefined) return null;
      const defines: Defines = {
        HEAD_DIM: headDim,
        [stage === 'dkv' ? 'QUERIES' : 'KEYS']: step,
        ...variant,
      };
      const source = forward ? 'flash-forward' : 'flash-backward';
      const kernel = device.kernel(source, `ww_flash_${stage}`, PARAMETERS[stage], defines);
      return { kernel, rows, shared: bytes(step) };
    });
    return found ?? undefined;
  }

  return { generic, flash };
}

/** Whether the flash kernels take these arrays, which they read and write 16 bytes at a time. */
export function flashes(
  device: CudaDevice,
  { headDim, scale }: { readonly headDim: number; readonly scale: number },
  types: readonly DType[],
  arrays: readonly number[],
): boolean {
  return (
    types.every((type) => type === 'bf16') &&
    device.capability >= 80 &&
    headDim % (headDim > 128 ? 32 : 16) === 0 &&
    scale > 0 &&
    arrays.every((at) => at % 16 === 0)
  );
}

/** The kernels' name of a type that attention takes. */
export function attentionType(type: DType): string {
  const name = C_TYPE[type];
  if (name === undefined) throw new TypeError(`attention: expected f32 or bf16, got ${type}`);
  return name;
}

/** The address of a call's values by distance, or nowhere. */
export function biasOf({ bias }: Pick<AttentionShape, 'bias'>): number {
  return bias ? address(bias.values) : 0;
}
