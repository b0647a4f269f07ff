/**
 * GGUF's blocks of 256 values by all threads (kernels/blocks-exact.c), in the host's own memory and beside the queue: whatever device
 * computes, files are written and read here.
 */

import type { Library } from './library.js';

/** Types of blocks that have kernels, with ggml's numbers. */
export const KERNEL_BLOCKS = { Q4_K: 12, Q5_K: 13, Q6_K: 14 } as const;
export type KernelBlock = keyof typeof KERNEL_BLOCKS;

const VALUES = 256;

export interface BlockKernels {
  /** `to`: the blocks' bytes. Neither array may be touched until it is done. */
  quantize(type: KernelBlock, values: Float32Array, to: Uint8Array): Promise<void>;
  dequantize(type: KernelBlock, from: Uint8Array, values: Float32Array): void;
}

type Native = (
  type: number,
  a: Float32Array | Uint8Array,
  blocks: number,
  b: Float32Array | Uint8Array,
) => void;
type Later = (...args: [...Parameters<Native>, (error: Error | null) => void]) => void;

export function bindBlocks(library: Library): BlockKernels {
  const signature = (name: string): string => `void ${name}(int type, void *from, int64_t blocks, void *to)`;
  const quantize = library.func(signature('ww_quantize_blocks')) as Native & { readonly async: Later };
  const dequantize = library.func(signature('ww_dequantize_blocks')) as Native;
  return {
    quantize: (type, values, to) =>
      new Promise((resolve, reject) => {
        const blocks = blocksOf(type, values, to);
        quantize.async(KERNEL_BLOCKS[type], values, blocks, to, (error) =>
          error ? reject(error) : resolve(),
        );
      }),
    dequantize: (type, from, values) =>
      dequantize(KERNEL_BLOCKS[type], from, blocksOf(type, values, from), values),
  };
}

const BYTES: Readonly<Record<KernelBlock, number>> = { Q4_K: 144, Q5_K: 176, Q6_K: 210 };

function blocksOf(type: KernelBlock, values: Float32Array, bytes: Uint8Array): number {
  const blocks = values.length / VALUES;
  if (Number.isInteger(blocks) && bytes.length === blocks * BYTES[type]) return blocks;
  throw new RangeError(`${values.length} values are no ${bytes.length} bytes of ${type}`);
}
