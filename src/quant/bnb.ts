/**
 * Bitsandbytes' serialized form of an NF4 weight, which pre-quantized checkpoints on the hub have. Beside `X.weight` (the packed codes,
 * u8) stand `X.weight.absmax`, `X.weight.quant_map`, doubly quantized also `.nested_absmax` and `.nested_quant_map`, and
 * `X.weight.quant_state.bitsandbytes__nf4`: JSON as bytes, with the shape, the original type and the sizes of the blocks.
 */

import { z } from 'zod';
import type { Backend } from '../backends/contract.js';
import type { Nf4Matrix } from '../backends/span.js';
import { checkFinite } from '../files/index.js';
import { messageOf, UserError } from '../util/errors.js';
import { NF4_BLOCK, NF4_CODES } from '../util/nf4.js';
import { NESTED_BLOCK } from '../util/double-quant.js';
import { allocateNf4 } from './nf4.js';
import type { StoredSource } from './packed.js';

/** One array of the serialized form. */
export interface BnbTensor {
  readonly name: string;
  readonly dtype: 'U8' | 'F32';
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const STATE = 'quant_state.bitsandbytes__';

const stateSchema = z.object({
  quant_type: z.string(),
  blocksize: z.number(),
  dtype: z.string(),
  shape: z.array(z.int().positive()),
  nested_blocksize: z.number().optional(),
  nested_offset: z.number().optional(),
});

/** Whether bitsandbytes quantized the weight `name` (`….weight`) to four bits, of whichever type. */
export function isBnbWeight(source: Pick<StoredSource, 'has'>, name: string): boolean {
  return source.has(`${name}.${STATE}nf4`) || source.has(`${name}.${STATE}fp4`);
}

/** Puts the pre-quantized weight `name` on the backend. Throws UserError where it is not NF4 of [rows, cols] as Westwind has it. */
export function readBnbMatrix(
  backend: Backend,
  source: StoredSource,
  name: string,
  [rows, cols]: readonly [number, number],
): Nf4Matrix {
  const fault = (what: string): UserError =>
    new UserError(`${source.path}: the 4-bit weight '${name}' ${what}`);
  const read = (part: string, dtype: string, length: number): Uint8Array => {
    const full = part === '' ? name : `${name}.${part}`;
    if (!source.has(full)) throw fault(`has no tensor '${full}'`);
    const { dtype: found, shape, data } = source.read(full);
    const elements = shape.reduce((a, b) => a * b, 1);
    if (found !== dtype || elements !== length) {
      throw fault(`has a tensor '${full}' of ${elements} ${found}; ${length} ${dtype} are wanted`);
    }
    if (part !== 'quant_map') checkFinite(source.path, full, dtype, shape, data);
    return data;
  };

  const state = parseState(source, name, fault);
  if (state.quant_type !== 'nf4') throw fault(`is of type ${state.quant_type}; Westwind reads nf4 alone`);
  if (state.blocksize !== NF4_BLOCK)
    throw fault(`has blocks of ${state.blocksize} values; Westwind reads blocks of ${NF4_BLOCK} alone`);
  if (state.shape.length !== 2 || state.shape[0] !== rows || state.shape[1] !== cols)
    throw fault(`has shape [${state.shape.join(', ')}], but config.json asks for [${rows}, ${cols}]`);
  const doubled = source.has(`${name}.nested_absmax`);
  if (doubled && state.nested_blocksize !== NESTED_BLOCK)
    throw fault(`has nested blocks of ${state.nested_blocksize ?? 'no'} scales; ${NESTED_BLOCK} are wanted`);
  if (doubled && state.nested_offset === undefined) throw fault('lacks nested_offset in its quant_state');
  if (!Number.isFinite(Math.fround(state.nested_offset ?? 0)))
    throw fault(`has a nested_offset of ${state.nested_offset}, which float32 cannot hold`);
  if (!sameFloats(read('quant_map', 'F32', 16), NF4_CODES))
    throw fault('has a quant_map other than that of NF4');

  const blocks = Math.ceil((rows * cols) / NF4_BLOCK);
  const packed = read('', 'U8', Math.ceil((rows * cols) / 2));
  const absmax = read('absmax', doubled ? 'U8' : 'F32', blocks);
  const nested = doubled && {
    absmax: read('nested_absmax', 'F32', Math.ceil(blocks / NESTED_BLOCK)),
    map: read('nested_quant_map', 'F32', 256),
  };

  const matrix = allocateNf4(backend, rows, cols, doubled);
  backend.upload(packed, matrix.packed);
  backend.upload(absmax, matrix.absmax);
  if (nested && matrix.nested) {
    backend.upload(nested.absmax, matrix.nested.absmax);
    backend.upload(nested.map, matrix.nested.map);
    backend.upload(Float32Array.of(state.nested_offset ?? 0), matrix.nested.offset);
  }
  return matrix;
}

function parseState(
  source: StoredSource,
  name: string,
  fault: (what: string) => UserError,
): z.infer<typeof stateSchema> {
  if (source.has(`${name}.${STATE}fp4`)) throw fault('is of type fp4; Westwind reads nf4 alone');
  const stateName = `${name}.${STATE}nf4`;
  if (!source.has(stateName)) throw fault(`has no tensor '${stateName}'`);
  try {
    return stateSchema.parse(JSON.parse(new TextDecoder().decode(source.read(stateName).data)));
  } catch (error) {
    const reason =
      error instanceof z.ZodError ? z.prettifyError(error).split('\n').join(' ') : messageOf(error);
    throw fault(`has a quant_state that cannot be read: ${reason}`);
  }
}

function sameFloats(bytes: Uint8Array, values: Float32Array): boolean {
  const expected = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return bytes.every((byte, i) => byte === expected[i]);
}

/**
 * A matrix in the serialized form, under the weight's `name`. `dtype` is what the weight was before, in torch's words: bitsandbytes
 * dequantizes to it.
 */
export async function writeBnbMatrix(
  backend: Backend,
  matrix: Nf4Matrix,
  name: string,
  dtype: 'float32' | 'bfloat16' | 'float16',
): Promise<BnbTensor[]> {
  const { rows, cols, packed, absmax, nested } = matrix;
  const state = {
    quant_type: 'nf4',
    blocksize: NF4_BLOCK,
    dtype,
    shape: [rows, cols],
    ...(nested && {
      nested_blocksize: NESTED_BLOCK,
      nested_dtype: 'float32',
      nested_offset: new Float32Array((await backend.download(nested.offset)).buffer)[0],
    }),
  };
  const json = new TextEncoder().encode(JSON.stringify(state));
  const codes = new Uint8Array(NF4_CODES.slice().buffer);
  const tensors: BnbTensor[] = [
    { name, dtype: 'U8', shape: [packed.length, 1], data: await backend.download(packed) },
    {
      name: `${name}.absmax`,
      dtype: nested ? 'U8' : 'F32',
      shape: [absmax.length],
      data: await backend.download(absmax),
    },
    { name: `${name}.quant_map`, dtype: 'F32', shape: [16], data: codes },
    { name: `${name}.${STATE}nf4`, dtype: 'U8', shape: [json.length], data: json },
  ];
  if (!nested) return tensors;
  for (const part of ['absmax', 'map'] as const) {
    const span = nested[part];
    const suffix = part === 'map' ? 'nested_quant_map' : 'nested_absmax';
    tensors.push({
      name: `${name}.${suffix}`,
      dtype: 'F32',
      shape: [span.length],
      data: await backend.download(span),
    });
  }
  return tensors;
}
