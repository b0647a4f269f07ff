/** NF4 as bitsandbytes computes it: the codes it packs, the values that come back, and its serialized form read as weights. */

import type { Backend } from '../../backends/contract.js';
import type { Nf4Matrix } from '../../backends/span.js';
import { SafetensorsFile } from '../../files/index.js';
import { readBnbMatrix } from '../../quant/bnb.js';
import { freeMatrix } from '../../quant/formats.js';
import { quantizeMatrix } from '../../quant/nf4.js';
import { Tensor } from '../../tensor/tensor.js';
import { check, maxAbs, maxDifference, type Check } from './check.js';

const DIFFERENT_CODES = 1e-3;
const VALUES = 1e-3;
const TYPES: Readonly<Record<string, 'f32' | 'bf16' | 'f16'>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

export async function* verifyNf4(backend: Backend, path: string, subject: string): AsyncGenerator<Check> {
  const file = SafetensorsFile.open(path);
  try {
    for (const name of file.names
      .filter((n) => n.endsWith('.source'))
      .map((n) => n.slice(0, -'.source'.length))) {
      const source = file.read(`${name}.source`);
      const [rows, cols] = source.shape as [number, number];
      const dtype = TYPES[source.dtype]!;
      for (const doubleQuant of [true, false]) {
        const stored = doubleQuant ? name : `${name}.single`;
        const what = `${name} (${source.dtype}${doubleQuant ? ', double' : ''})`;
        const wanted = file.readFloat32(`${stored}.dequantized`);
        const ours = await quantizeMatrix(backend, { data: source.data, dtype, rows, cols }, { doubleQuant });
        const codes = await backend.download(ours.packed);
        yield check(
          subject,
          `${what}: codes that differ`,
          differentCodes(codes, file.read(`${stored}.weight`).data),
          DIFFERENT_CODES,
        );
        yield check(subject, `${what}: values`, await valueError(backend, ours, wanted, dtype), VALUES);
        freeMatrix(backend, ours);
        const theirs = readBnbMatrix(backend, file, `${stored}.weight`, [rows, cols]);
        yield check(
          subject,
          `${what}: pre-quantized, values`,
          await valueError(backend, theirs, wanted, dtype),
          VALUES,
        );
        freeMatrix(backend, theirs);
      }
    }
  } finally {
    file.close();
  }
}

/** Share of nibbles that are not the same. */
function differentCodes(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return 1;
  let different = 0;
  a.forEach((byte, i) => {
    const x = byte ^ b[i]!;
    different += ((x & 0xf0) === 0 ? 0 : 1) + ((x & 0x0f) === 0 ? 0 : 1);
  });
  return different / (2 * a.length);
}

/** bitsandbytes' values come in the source's type: ours are rounded to it, too. */
async function valueError(
  backend: Backend,
  w: Nf4Matrix,
  wanted: Float32Array,
  dtype: 'f32' | 'bf16' | 'f16',
): Promise<number> {
  const shape = [w.rows, w.cols];
  const [y, rounded] = [Tensor.empty(backend, shape), Tensor.empty(backend, shape, dtype)];
  backend.kernels.dequantizeNf4({ w, y });
  backend.kernels.convert({ x: y, y: rounded, n: y.length });
  backend.kernels.convert({ x: rounded, y, n: y.length });
  const values = await y.toFloat32();
  y.release();
  rounded.release();
  return maxDifference(values, wanted) / maxAbs(wanted);
}
