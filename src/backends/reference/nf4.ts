/** NF4 to numbers and back, in float32 arithmetic as bitsandbytes has it: here each rounding counts, for a code is picked by it. */

import { quantizeScales as quantizeHostScales } from '../../util/double-quant.js';
import { NF4_BLOCK, NF4_BORDERS, NF4_CODES } from '../../util/nf4.js';
import type { Nf4Matrix } from '../span.js';
import type { Kernels } from '../kernels.js';
import { f32, readFloats, u8, writeFloats } from './memory.js';

const { fround } = Math;

/** Values converted at once: a multiple of NF4_BLOCK. */
const PIECE = 1 << 16;

export const quantizeNf4: Kernels['quantizeNf4'] = ({ x, n, packed, absmax }) => {
  const codes = u8(packed, Math.ceil(n / 2));
  const scales = f32(absmax, Math.ceil(n / NF4_BLOCK));
  for (let first = 0; first < n; first += PIECE) {
    const values = readFloats(x, Math.min(PIECE, n - first), first);
    for (let at = 0; at < values.length; at += NF4_BLOCK) {
      const block = values.subarray(at, at + NF4_BLOCK);
      const largest = block.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      scales[(first + at) / NF4_BLOCK] = largest;
      // A block of zeros keeps zeros; bitsandbytes, dividing by zero there, comes to code 0 of scale 0.
      const inverse = largest === 0 ? 0 : fround(1 / largest);
      for (let i = 0; i < block.length; i += 2) {
        const high = nearestCode(fround(block[i]! * inverse));
        const low = i + 1 < block.length ? nearestCode(fround(block[i + 1]! * inverse)) : 0;
        codes[(first + at + i) / 2] = (high << 4) | low;
      }
    }
  }
};

/** The number of borders below x: a value on a border takes the lower code. */
function nearestCode(x: number): number {
  let code = 0;
  while (code < NF4_BORDERS.length && x > NF4_BORDERS[code]!) code++;
  return code;
}

export const quantizeScales: Kernels['quantizeScales'] = (args) => {
  const { n } = args;
  const { codes, scales, offset } = quantizeHostScales(f32(args.absmax, n), f32(args.map, 256));
  u8(args.codes, n).set(codes);
  f32(args.scales, scales.length).set(scales);
  f32(args.offset, 1)[0] = offset;
};

export const dequantizeNf4: Kernels['dequantizeNf4'] = ({ w, y }) => {
  writeFloats(y, dequantized(w));
};

/** All values of an NF4 matrix, row-major. */
export function dequantized(w: Nf4Matrix): Float32Array {
  const n = w.rows * w.cols;
  const codes = u8(w.packed, Math.ceil(n / 2));
  const scales = blockScales(w, Math.ceil(n / NF4_BLOCK));
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const byte = codes[i >>> 1]!;
    values[i] = NF4_CODES[i & 1 ? byte & 15 : byte >>> 4]! * scales[i >>> 6]!;
  }
  return values;
}

function blockScales({ absmax, nested }: Nf4Matrix, blocks: number): Float32Array {
  if (!nested) return f32(absmax, blocks);
  const codes = u8(absmax, blocks);
  const map = f32(nested.map, 256);
  const scales = f32(nested.absmax, Math.ceil(blocks / 256));
  const offset = f32(nested.offset, 1)[0]!;
  return Float32Array.from(codes, (code, b) => fround(map[code]! * scales[b >>> 8]!) + offset);
}
