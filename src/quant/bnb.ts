/**
 * Pre-quantized 4-bit checkpoints as bitsandbytes serializes them: beside `X.weight` (packed codes) its state under `X.weight.*`, the
 * shapes in a JSON text that is stored as a tensor of bytes.
 */

import { z } from 'zod';
import type { Backend, Nf4Matrix } from '../backends/contract.js';
import { toFloat32 } from '../files/convert.js';
import { UserError } from '../util/errors.js';
import { NESTED_BLOCK, type NestedScales } from './double-quant.js';
import { NF4_BLOCK, uploaded, uploadNested } from './nf4.js';

/** Tensors by name, with safetensors' names of types. */
export interface BnbSource {
  readonly path: string;
  has(name: string): boolean;
  read(name: string): {
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly data: Uint8Array;
  };
}

const stateSchema = z.object({
  quant_type: z.literal('nf4'),
  blocksize: z.literal(NF4_BLOCK),
  shape: z.tuple([z.int().positive(), z.int().positive()]),
  nested_blocksize: z.literal(NESTED_BLOCK).optional(),
  nested_offset: z.number().optional(),
});

/** Whether `name` is a 4-bit weight. */
export function isBnbWeight(source: Pick<BnbSource, 'has'>, name: string): boolean {
  return source.has(stateName(name)) || source.has(`${name}.quant_state.bitsandbytes__fp4`);
}

/** Loads the weight `name`, which must be NF4 of the given shape. Throws UserError. */
export function readBnbMatrix(
  backend: Backend,
  source: BnbSource,
  name: string,
  shape: readonly [number, number],
): Nf4Matrix {
  const fault = (what: string): UserError => new UserError(`${source.path}: 4-bit tensor '${name}' ${what}`);
  if (!source.has(stateName(name))) throw fault('is FP4; Westwind reads NF4');
  const state = stateSchema.safeParse(parseJson(source.read(stateName(name)).data));
  if (!state.success) {
    const issue = state.error.issues[0]!;
    throw fault(`has a state that cannot be read: ${issue.path.join('.') || 'it'}: ${issue.message}`);
  }
  const [rows, cols] = state.data.shape;
  if (rows !== shape[0] || cols !== shape[1]) {
    throw fault(`has shape [${rows}, ${cols}], but config.json asks for [${shape.join(', ')}]`);
  }
  const bytes = (part: string, dtype: string, length: number): Uint8Array => {
    const full = part === '' ? name : `${name}.${part}`;
    if (!source.has(full)) throw fault(`lacks '${full}'`);
    const tensor = source.read(full);
    const count = tensor.shape.reduce((a, b) => a * b, 1);
    if (tensor.dtype !== dtype || count !== length)
      throw fault(`has a '${full}' of ${count} ${tensor.dtype}, not ${length} ${dtype}`);
    return tensor.data;
  };
  const floats = (part: string, length: number): Float32Array => toFloat32('F32', bytes(part, 'F32', length));
  const blocks = Math.ceil((rows * cols) / NF4_BLOCK);
  const packed = bytes('', 'U8', Math.ceil((rows * cols) / 2));
  const nested = state.data.nested_offset;
  const scales: { absmax: Float32Array } | NestedScales =
    nested === undefined
      ? { absmax: floats('absmax', blocks) }
      : {
          codes: bytes('absmax', 'U8', blocks),
          absmax: floats('nested_absmax', Math.ceil(blocks / NESTED_BLOCK)),
          map: floats('nested_quant_map', 256),
          offset: nested,
        };
  return {
    kind: 'nf4',
    rows,
    cols,
    packed: uploaded(backend, packed),
    ...('codes' in scales ? uploadNested(backend, scales) : { absmax: uploaded(backend, scales.absmax) }),
  };
}

function stateName(name: string): string {
  return `${name}.quant_state.bitsandbytes__nf4`;
}

function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
