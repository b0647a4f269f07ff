/** What bitsandbytes made of a matrix against what we make of it: every byte of its serialized form, and the numbers it stands for. */

import assert from 'node:assert/strict';
import type { Backend } from '../../src/backends/contract.js';
import type { Matrix, Span } from '../../src/backends/span.js';
import { toFloat32, type FloatDtype } from '../../src/files/convert.js';
import type { SafetensorsFile } from '../../src/files/safetensors.js';
import { readBnbMatrix, writeBnbMatrix } from '../../src/quant/bnb.js';
import { freeMatrix } from '../../src/quant/formats.js';
import { quantizeMatrix } from '../../src/quant/nf4.js';

const TYPES = { F32: ['f32', 'float32'], BF16: ['bf16', 'bfloat16'], F16: ['f16', 'float16'] } as const;

/** Matrix `name` of a golden file (`name.source`, `name.weight…`, `name.single.weight…`), both ways of storing its scales. */
export async function checkGolden(backend: Backend, file: SafetensorsFile, name: string): Promise<void> {
  const source = file.read(`${name}.source`);
  const [rows, cols] = source.shape as [number, number];
  const [dtype, torchName] = TYPES[source.dtype as keyof typeof TYPES];
  for (const doubleQuant of [false, true]) {
    const prefix = doubleQuant ? name : `${name}.single`;
    const weight = `${prefix}.weight`;
    const { data } = source;
    const ours = await quantizeMatrix(backend, { data, dtype, rows, cols }, { doubleQuant });
    const theirs = readBnbMatrix(backend, file, weight, [rows, cols]);

    for (const tensor of await writeBnbMatrix(backend, ours, weight, torchName)) {
      const golden = file.read(tensor.name);
      // JSON's length depends on its spaces.
      if (!tensor.name.includes('quant_state')) assert.deepEqual(tensor.shape, golden.shape, tensor.name);
      if (tensor.name === weight) {
        const equal = tensor.data.filter((byte, i) => byte === golden.data[i]).length;
        assert.ok(equal >= 0.999 * golden.data.length, `${equal} of ${golden.data.length} bytes are equal`);
      } else if (tensor.name.includes('quant_state')) {
        const [state, wanted] = [tensor.data, golden.data].map(parse) as [State, State];
        // The mean of the scales: bitsandbytes sums them in another order.
        const [a, b] = [state.nested_offset ?? 0, wanted.nested_offset ?? 0];
        assert.ok(Math.abs(a - b) <= 1e-6 * b, `nested_offset is ${a}, wanted ${b}`);
        assert.deepEqual({ ...state, nested_offset: b }, { ...wanted, nested_offset: b });
      } else if (tensor.dtype === 'F32') {
        assertClose(toFloat32('F32', tensor.data), toFloat32('F32', golden.data), 1e-6, tensor.name);
      } else {
        assert.deepEqual(tensor.data, golden.data, tensor.name);
      }
    }

    const golden = file.readFloat32(`${prefix}.dequantized`);
    for (const [what, matrix] of Object.entries({ ours, theirs })) {
      const found = await dequantized(backend, matrix, source.dtype as FloatDtype);
      assertClose(found, golden, 1e-3, `${prefix}, ${what}`);
      freeMatrix(backend, matrix);
    }
  }
}

interface State {
  readonly nested_offset?: number;
}

function parse(bytes: Uint8Array): State {
  return JSON.parse(new TextDecoder().decode(bytes)) as State;
}

/** In the source's type, as bitsandbytes dequantizes. */
async function dequantized(backend: Backend, w: Matrix, dtype: FloatDtype): Promise<Float32Array> {
  assert.ok(w.kind === 'nf4');
  const length = w.rows * w.cols;
  const buffer = backend.alloc(length * 4);
  const y: Span = { buffer, offset: 0, dtype: dtype === 'BF16' ? 'bf16' : 'f32', length };
  backend.kernels.dequantizeNf4({ w, y });
  const bytes = await backend.download(y);
  backend.free(buffer);
  return toFloat32(dtype === 'BF16' ? 'BF16' : 'F32', bytes);
}

function assertClose(found: Float32Array, wanted: Float32Array, tolerance: number, what: string): void {
  assert.equal(found.length, wanted.length, what);
  const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  for (const [i, x] of wanted.entries())
    assert.ok(Math.abs(found[i]! - x) <= tolerance * largest, `${what}[${i}] is ${found[i]!}, wanted ${x}`);
}
