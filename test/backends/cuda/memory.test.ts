import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { view } from 'koffi';
import type { DeviceBuffer, Span } from '../../../src/backends/span.js';
import { Driver } from '../../../src/backends/cuda/driver.js';
import { CudaMemory } from '../../../src/backends/cuda/memory.js';
import { UserError } from '../../../src/util/errors.js';
import { fake } from './fake.js';

const MIB = 2 ** 20;
const driver = new Driver(fake().driver);
const memory = (): CudaMemory => new CudaMemory(driver, 7, 'Fake GPU');
const bytesIn = (buffer: DeviceBuffer, length = buffer.bytes): Span => ({
  buffer,
  offset: 0,
  dtype: 'u8',
  length,
});

beforeEach(() => {
  fake().set('MEMORY', 1024 * MIB);
  fake().set('FAIL', 'none');
});

test('what is uploaded comes back: small, large, and out of staging memory', async () => {
  const m = memory();
  for (const length of [1, 63, 70_000, 5 * MIB]) {
    const buffer = m.alloc(length, 'device');
    const data = Uint8Array.from({ length }, (_, i) => (i * 31 + length) % 251);
    m.upload(data, bytesIn(buffer));
    assert.deepEqual(await m.download(bytesIn(buffer)), data);
    const staged = m.staging(length).subarray(0, length);
    staged.set(data.map((v) => 255 - v));
    m.upload(staged, bytesIn(buffer));
    assert.equal((await m.download(bytesIn(buffer)))[0], 255 - data[0]!);
    m.free(buffer);
  }
});

test('many small uploads each arrive as they were when they were asked for', async () => {
  const m = memory();
  const word = new Int32Array(1);
  const buffers = Array.from({ length: 3000 }, (_, i) => {
    const buffer = m.alloc(4, 'device');
    word[0] = i;
    m.upload(word, { buffer, offset: 0, dtype: 'i32', length: 1 });
    return buffer;
  });
  for (const [i, buffer] of buffers.entries()) {
    const [value] = new Int32Array((await m.download(bytesIn(buffer, 4))).buffer);
    assert.equal(value, i);
  }
});

test('the ring of small uploads waits before it writes over one that is under way', () => {
  // The driver's copies are put off until somebody waits for an event or the stream.
  fake().set('DELAY', 1);
  try {
    const m = memory();
    const size = 64 << 10;
    const buffers = Array.from({ length: 3 * 64 }, () => m.alloc(size, 'device'));
    for (const [i, buffer] of buffers.entries()) m.upload(new Uint8Array(size).fill(i), bytesIn(buffer));
    m.trim();
    for (const [i, { handle }] of buffers.entries()) {
      const first = new Uint8Array(view(BigInt(handle as number), 1))[0];
      assert.equal(first, i);
    }
  } finally {
    fake().set('DELAY', 0);
  }
});

test('a freed block is handed out again, and the peak is exact', () => {
  const m = memory();
  const first = m.alloc(10 * MIB, 'device');
  const { handle } = first;
  m.free(first);
  const again = m.alloc(10 * MIB, 'device');
  assert.equal(again.handle, handle);
  const second = m.alloc(MIB, 'device');
  m.free(second);
  assert.deepEqual([m.use().held, m.use().peak], [10 * MIB, 11 * MIB]);
  m.resetPeak();
  assert.equal(m.use().peak, 10 * MIB);
  m.free(again);
  m.trim();
  assert.equal(m.use().reserved, 0);
  assert.equal(m.available(), 1024 * MIB);
});

test('out of memory says what was asked, what is free, and what to lower', () => {
  fake().set('MEMORY', 64 * MIB);
  const m = memory();
  m.alloc(48 * MIB, 'device');
  assert.throws(
    () => m.alloc(32 * MIB, 'device'),
    (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(
        error.message,
        /^Fake GPU is out of memory: 32 MiB were asked for, 16 MiB of 64 MiB are free, 48 MiB are in use here; lower per_device_train_batch_size/,
      );
      assert.match(error.message, /gradient_checkpointing: true or optim: paged_adamw_32bit/);
      return true;
    },
  );
});

test('memory that is freed but kept is given back before it runs out', () => {
  fake().set('MEMORY', 64 * MIB);
  const m = memory();
  const kept = m.alloc(40 * MIB, 'device');
  m.free(kept);
  const other = m.alloc(60 * MIB, 'device');
  assert.equal(m.use().held, 60 * MIB);
  m.free(other);
});

test("a recording's memory is nobody else's until it is disposed of", () => {
  const m = memory();
  let inside: DeviceBuffer | undefined;
  const apart = m.apart(() => {
    inside = m.alloc(MIB, 'device');
    m.free(inside);
  });
  const outside = m.alloc(MIB, 'device');
  assert.notEqual(outside.handle, inside!.handle);
  apart.release();
  assert.equal(m.alloc(MIB, 'device').handle, inside!.handle);
});

test('a recording that fails leaves no memory behind', () => {
  const m = memory();
  const fail = (): never => {
    m.alloc(MIB, 'device');
    throw new Error('within');
  };
  assert.throws(() => m.apart(fail), /within/);
  assert.equal(m.use().held, 0);
});

test('no room for pinned memory is told as the user can mend it', () => {
  const m = memory();
  fake().set('FAIL', 'cuMemHostAlloc:1:2');
  assert.throws(
    () => m.alloc(5 * MIB, 'host'),
    /main memory is out of room .*: 5 MiB were asked for; .*adamw_torch/,
  );
});

test("pinned host memory does not count as the device's", () => {
  const m = memory();
  const host = m.alloc(4 * MIB, 'host');
  assert.equal(m.use().held, 0);
  m.free(host);
});
