/**
 * The types of a GGUF file's tensors: values to bytes and back. The bytes are those that ggml's reference functions make of the same values
 * (`quantize_row_*_ref` of https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c).
 */
import { fromFloat32, TENSOR_TYPES, toFloat32, type FloatDtype, type TensorType } from '../../files/index.js';
import { KERNEL_BLOCKS, type BlockKernels, type KernelBlock } from '../../backends/cpu/blocks.js';
import { atOnce, inTurns } from '../../util/turns.js';
import type { BlockFormat } from './block.js';
import { Q4_K, Q5_K } from './k-blocks.js';
import { Q4_0, Q5_0, Q5_1, Q8_0 } from './plain.js';
import { Q6_K } from './q6-k.js';

/** Types whose values stand alone. */
type PlainType = Extract<TensorType, FloatDtype>;

const BLOCKS: Readonly<Record<Exclude<TensorType, PlainType>, BlockFormat>> = {
  Q4_0,
  Q5_0,
  Q5_1,
  Q8_0,
  Q4_K,
  Q5_K,
  Q6_K,
};

/** Values that are quantized between two turns that a caller may take; two milliseconds of the slowest format. */
const PIECE = 4096;

/** Values as bytes, in pieces. `values`: whole blocks. */
function* quantized(type: TensorType, values: Float32Array): Generator<void, Uint8Array, void> {
  if (!isBlocks(type)) return fromFloat32(type, values);
  const { block, bytes } = TENSOR_TYPES[type];
  const out = new Uint8Array((values.length / block) * bytes);
  const format = BLOCKS[type];
  for (let at = 0, place = 0; at < values.length; at += block, place += bytes) {
    format.quantize(values, at, out, place);
    if (at % PIECE === 0) yield;
  }
  return out;
}

/** Values that are quantized by one call of a kernel: some tens of milliseconds. */
const PART = 1 << 21;

/**
 * The same bytes by kernels where there are some. Between its parts `turn` is called, which may throw; rejects with what it throws.
 * `values` must not change meanwhile.
 */
export async function quantizedBy(
  kernels: BlockKernels | undefined,
  type: TensorType,
  values: Float32Array,
  turn: () => void,
): Promise<Uint8Array> {
  if (!kernels || !hasKernel(type))
    return inTurns(quantized(type, values), (body) => {
      turn();
      return body();
    });
  const { block, bytes } = TENSOR_TYPES[type];
  const out = new Uint8Array((values.length / block) * bytes);
  for (let at = 0; at < values.length; at += PART) {
    turn();
    const part = values.subarray(at, at + PART);
    const place = (at / block) * bytes;
    await kernels.quantize(type, part, out.subarray(place, place + (part.length / block) * bytes));
  }
  return out;
}

/** The same at once. */
export function toTensorType(type: TensorType, values: Float32Array): Uint8Array {
  return atOnce(quantized(type, values));
}

/** The values that bytes stand for; by `kernels` where there are some, which changes no bit. */
export function fromTensorType(type: TensorType, data: Uint8Array, kernels?: BlockKernels): Float32Array {
  if (!isBlocks(type)) return toFloat32(type, data);
  const { block, bytes } = TENSOR_TYPES[type];
  const out = new Float32Array((data.length / bytes) * block);
  if (kernels && hasKernel(type)) {
    kernels.dequantize(type, data, out);
    return out;
  }
  const format = BLOCKS[type];
  for (let at = 0, place = 0; at < out.length; at += block, place += bytes)
    format.dequantize(data, place, out, at);
  return out;
}

function hasKernel(type: TensorType): type is KernelBlock {
  return Object.hasOwn(KERNEL_BLOCKS, type);
}

function isBlocks(type: TensorType): type is Exclude<TensorType, PlainType> {
  return TENSOR_TYPES[type].block > 1;
}
