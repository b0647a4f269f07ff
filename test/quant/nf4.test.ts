/** NF4 matrices: as bitsandbytes makes them, to the byte in memory, and its files read with suspicion. */

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createReferenceBackend } from '../../src/backends/reference/index.js';
import { createBackend } from '../../src/backends/select.js';
import { SafetensorsFile } from '../../src/files/safetensors.js';
import { isBnbWeight, readBnbMatrix, writeBnbMatrix, type BnbTensor } from '../../src/quant/bnb.js';
import { freeMatrix, matrixBytes } from '../../src/quant/formats.js';
import { nf4Bytes, quantizeMatrix } from '../../src/quant/nf4.js';
import type { StoredSource } from '../../src/quant/packed.js';
import { dynamicMap, quantizeScales } from '../../src/util/double-quant.js';
import { checkGolden } from './check-golden.js';

const golden = SafetensorsFile.open('test/golden/nf4-bitsandbytes-b.safetensors');
after(() => golden.close());

describe('NF4 as bitsandbytes has it', () => {
  for (const device of ['reference', 'cpu']) {
    it(`codes, scales, state and numbers on ${device}`, async () => {
      const { backend } = await createBackend(device);
      const { held } = backend.memory();
      await checkGolden(backend, golden, 'b');
      assert.equal(backend.memory().held, held, 'everything is freed');
    });
  }

  it('has its dynamic map, bit for bit', () => {
    assert.deepEqual(dynamicMap(), golden.readFloat32('b.weight.nested_quant_map'));
  });
});

describe('double quantization of scales', () => {
  it('takes the nearest value of the map, in blocks of 256', () => {
    const map = dynamicMap();
    const absmax = Float32Array.from({ length: 600 }, (_, i) => 1 + Math.sin(i * i) * (i < 256 ? 0.1 : 0.01));
    const { codes, scales, offset } = quantizeScales(absmax, map);
    assert.equal(scales.length, 3);
    for (const [i, x] of absmax.entries()) {
      const wanted = (x - offset) / scales[i >> 8]!;
      const error = Math.abs(map[codes[i]!]! - wanted);
      const best = map.reduce((least, value) => Math.min(least, Math.abs(value - wanted)), Infinity);
      assert.ok(
        error <= best + 1e-6,
        `scale ${i}: code ${codes[i]!} is off by ${error}, the nearest by ${best}`,
      );
    }
  });

  it('keeps equal scales as they are', () => {
    const { codes, scales, offset } = quantizeScales(new Float32Array(10).fill(0.5), dynamicMap());
    assert.equal(offset, 0.5);
    assert.deepEqual(scales, Float32Array.of(0));
    assert.ok(codes.every((code) => code === codes[0]));
  });
});

describe('quantizeMatrix', () => {
  const backend = createReferenceBackend();

  for (const [rows, cols] of [
    [1, 1],
    [3, 17],
    [17, 100],
    [1100, 1000],
  ] as const) {
    // prettier-ignore
    for (const doubleQuant of [false, true]) {
      it(`[${rows}, ${cols}], ${doubleQuant ? 'doubly' : 'singly'}: small errors, memory to the byte`, async () => {
        const data = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i * 12.9898) * 0.02);
        const w = await quantizeMatrix(backend, { data, dtype: 'f32', rows, cols }, { doubleQuant });
        assert.equal(backend.memory().held, nf4Bytes(rows, cols, doubleQuant));
        assert.equal(matrixBytes(w), nf4Bytes(rows, cols, doubleQuant));
        const buffer = backend.alloc(data.byteLength);
        const y = { buffer, offset: 0, dtype: 'f32', length: data.length } as const;
        backend.kernels.dequantizeNf4({ w, y });
        const found = new Float32Array((await backend.download(y)).buffer);
        // The widest gap between codes is 0.304 of the scale; a doubly quantized scale may be off by 2 % more.
        for (const [i, x] of data.entries()) assert.ok(Math.abs(found[i]! - x) < 0.02 * 0.18, `value ${i}`);
        backend.free(buffer);
        freeMatrix(backend, w);
        assert.equal(backend.memory().held, 0);
      });
    }
  }

  it('says what a matrix takes: 4.127 bits a weight, doubly quantized', () => {
    assert.equal(nf4Bytes(4096, 4096, false), (4096 * 4096) / 2 + 4096 * 64 * 4);
    assert.equal(nf4Bytes(4096, 4096, true), (4096 * 4096) / 2 + 4096 * 64 + 1024 * 4 + 1024 + 64);
  });

  it('refuses what is not finite, by name, and frees what it took', async () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const data = new Float32Array(200).fill(1);
      data[150] = bad;
      const source = { data, dtype: 'f32', rows: 2, cols: 100, name: 'q_proj' } as const;
      await assert.rejects(quantizeMatrix(backend, source, { doubleQuant: true }), {
        name: 'UserError',
        message: /^q_proj holds a value that is not finite/,
      });
    }
    assert.equal(backend.memory().held, 0);
  });

  it('refuses bytes that are not as many as the shape wants', async () => {
    const source = { data: new Uint8Array(199), dtype: 'bf16', rows: 1, cols: 100 } as const;
    await assert.rejects(
      quantizeMatrix(backend, source, { doubleQuant: false }),
      /199 bytes are no bf16 matrix/,
    );
  });
});

describe('readBnbMatrix', () => {
  const backend = createReferenceBackend();
  const rows = 5;
  const cols = 70;

  /** The serialized form of some matrix, changed by `change`. */
  async function source(
    doubleQuant: boolean,
    change: (tensors: Map<string, BnbTensor>) => void = () => undefined,
  ) {
    const data = Float32Array.from({ length: rows * cols }, (_, i) => Math.cos(i * i));
    const w = await quantizeMatrix(backend, { data, dtype: 'f32', rows, cols }, { doubleQuant });
    const tensors = new Map<string, BnbTensor>();
    for (const t of await writeBnbMatrix(backend, w, 'q.weight', 'float32')) tensors.set(t.name, t);
    freeMatrix(backend, w);
    change(tensors);
    const result: StoredSource = { path: 'model', has: (n) => tensors.has(n), read: (n) => tensors.get(n)! };
    return result;
  }

  const STATE = 'q.weight.quant_state.bitsandbytes__nf4';

  function withState(tensors: Map<string, BnbTensor>, change: object): void {
    const { data, ...rest } = tensors.get(STATE)!;
    const state = { ...(JSON.parse(new TextDecoder().decode(data)) as object), ...change };
    tensors.set(STATE, { ...rest, data: new TextEncoder().encode(JSON.stringify(state)) });
  }

  for (const doubleQuant of [false, true]) {
    it(`reads what writeBnbMatrix wrote, ${doubleQuant ? 'doubly' : 'singly'} quantized`, async () => {
      const from = await source(doubleQuant);
      const w = readBnbMatrix(backend, from, 'q.weight', [rows, cols]);
      for (const tensor of await writeBnbMatrix(backend, w, 'q.weight', 'float32'))
        assert.deepEqual(tensor, from.read(tensor.name));
      freeMatrix(backend, w);
    });
  }

  const faults: [string, RegExp, (tensors: Map<string, BnbTensor>) => void][] = [
    ['blocks of another size', /blocks of 128 values/, (t) => withState(t, { blocksize: 128 })],
    ['fp4 in the state', /is of type fp4/, (t) => withState(t, { quant_type: 'fp4' })],
    ['fp4 by the name', /is of type fp4/, (t) => {
      t.set(STATE.replace('nf4', 'fp4'), t.get(STATE)!);
      t.delete(STATE);
    }],
    ['another shape', /has shape \[70, 5\]/, (t) => withState(t, { shape: [cols, rows] })],
    ['nested blocks of another size', /nested blocks of 64/, (t) => withState(t, { nested_blocksize: 64 })],
    ['no offset', /lacks nested_offset/, (t) => withState(t, { nested_offset: undefined })],
    ['an offset beyond float32', /nested_offset of 1e\+300/, (t) => withState(t, { nested_offset: 1e300 })],
    ['an offset that is no number', /quant_state that cannot be read/, (t) => withState(t, { nested_offset: 'x' })],
    ['a state that is no JSON', /quant_state that cannot be read/, (t) =>
      t.set(STATE, { ...t.get(STATE)!, data: Uint8Array.of(123) })],
    ['no scales', /has no tensor 'q.weight.absmax'/, (t) => t.delete('q.weight.absmax')],
    ['too few codes', /'q.weight' of 100 U8; 175 U8 are wanted/, (t) =>
      t.set('q.weight', { ...t.get('q.weight')!, shape: [100, 1], data: new Uint8Array(100) })],
    ['scales of another type', /of 6 F32; 6 U8 are wanted/, (t) =>
      t.set('q.weight.absmax', { ...t.get('q.weight.absmax')!, dtype: 'F32' })],
    ['another map of codes', /a quant_map other than that of NF4/, (t) => {
      const map = t.get('q.weight.quant_map')!;
      t.set(map.name, { ...map, data: map.data.slice().reverse() });
    }],
  ]; // prettier-ignore
  for (const [what, message, change] of faults) {
    it(`refuses ${what}`, async () => {
      const from = await source(true, change);
      assert.ok(isBnbWeight(from, 'q.weight'));
      assert.throws(() => readBnbMatrix(backend, from, 'q.weight', [rows, cols]), {
        name: 'UserError',
        message,
      });
      assert.equal(backend.memory().held, 0);
    });
  }
});
