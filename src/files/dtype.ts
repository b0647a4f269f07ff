/**
 * The element types of a safetensors file that Westwind reads and writes, by the names the format gives them
 * (https://github.com/huggingface/safetensors, "Format").
 */

/** Names and sizes in bytes, in the order in which the Python library lays tensors out: a file's tensors descend it. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
} as const;

export type Dtype = keyof typeof DTYPE_BYTES;

/** What the format calls the types of weights that backends have. */
export const FLOAT_NAMES = { f32: 'F32', bf16: 'BF16', f16: 'F16' } as const satisfies Record<string, Dtype>;

export type FloatType = keyof typeof FLOAT_NAMES;

export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(DTYPE_BYTES, name);
}

/** Elements of a shape, or undefined where the product is beyond 2^53 - 1. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const dim of shape) {
    count *= dim;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}
