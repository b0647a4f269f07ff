/**
 * The types that GGUF knows, of metadata and of tensors, with the numbers that stand for them in a file
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 */

/** Types of a metadata value that is no array, and their numbers. */
export const SCALARS = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

export const ARRAY = 9;

export type ScalarType = keyof typeof SCALARS;

/** What a scalar is in a program: whole numbers of 64 bits are bigints. */
type Scalar<T extends ScalarType> = T extends 'string'
  ? string
  : T extends 'bool'
    ? boolean
    : T extends 'uint64' | 'int64'
      ? bigint
      : number;

type Typed<T extends ScalarType> = T extends ScalarType
  ? | { readonly type: T; readonly value: Scalar<T> }
    | { readonly type: 'array'; readonly of: T; readonly value: readonly Scalar<T>[] }
  : never;

/** A metadata value with its type. Arrays of arrays, which the format allows, are not known: no key has one. */
export type GgufValue = Typed<ScalarType>;

export type Metadata = ReadonlyMap<string, GgufValue>;

/** Least bytes of a value in a file. */
export const SCALAR_BYTES: Readonly<Record<ScalarType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** Types of tensors: their number, and how many elements of a row share a block of how many bytes. */
export const TENSOR_TYPES = {
  F32: { id: 0, block: 1, bytes: 4 },
  F16: { id: 1, block: 1, bytes: 2 },
  Q4_0: { id: 2, block: 32, bytes: 18 },
  Q5_0: { id: 6, block: 32, bytes: 22 },
  Q5_1: { id: 7, block: 32, bytes: 24 },
  Q8_0: { id: 8, block: 32, bytes: 34 },
  Q4_K: { id: 12, block: 256, bytes: 144 },
  Q5_K: { id: 13, block: 256, bytes: 176 },
  Q6_K: { id: 14, block: 256, bytes: 210 },
  BF16: { id: 30, block: 1, bytes: 2 },
} as const;

export type TensorType = keyof typeof TENSOR_TYPES;

/** Types of tensors that ggml has besides, for messages. */
export const OTHER_TENSOR_TYPES: ReadonlyMap<number, string> = new Map([
  [3, 'Q4_1'],
  [9, 'Q8_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [39, 'MXFP4'],
]);

/** Where data begins, and each tensor in it, where the file says nothing else. */
export const DEFAULT_ALIGNMENT = 32;

/** GGUF's magic, version and limits of the specification. */
export const MAGIC = 'GGUF';
export const VERSION = 3;
export const MAX_DIMS = 4;
/** Bytes that a name of a tensor may have, its terminating zero in ggml counted. */
export const MAX_NAME_BYTES = 63;

/** Bytes of a tensor. `shape`: outermost first, so that the last is a row's length. Throws RangeError where a row is no whole number of blocks. */
export function tensorBytes(name: string, type: TensorType, shape: readonly number[]): number {
  const { block, bytes } = TENSOR_TYPES[type];
  const row = shape.at(-1) ?? 1;
  if (row % block !== 0)
    throw new RangeError(`'${name}': rows of ${row} are no blocks of ${block} (${type})`);
  return (shape.reduce((a, b) => a * b, 1) / block) * bytes;
}

/** The next multiple of the alignment. */
export function aligned(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
