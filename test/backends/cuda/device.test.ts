import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { load } from 'koffi';
import { createCompiler } from '../../../src/backends/cuda/compile.js';
import { Launcher, NoGpuError, openDevice, packer } from '../../../src/backends/cuda/device.js';
import { CudaError, Driver } from '../../../src/backends/cuda/driver.js';
import { UserError } from '../../../src/util/errors.js';
import { fake } from './fake.js';

const cache = mkdtempSync(join(tmpdir(), 'westwind-cache-'));
process.env['WESTWIND_CACHE'] = cache;
after(() => rmSync(cache, { recursive: true }));

const { driver: path, nvrtc } = fake();
const driver = new Driver(path);
const STREAM = 7;

beforeEach(() => {
  fake().set('COUNT', 1);
  fake().set('CAPABILITY', 90);
  fake().set('MEMORY', 2 ** 30);
  fake().set('FAIL', 'none');
  fake().set('LOG', '');
});

const launcher = (capability = 90): Launcher =>
  new Launcher(driver, createCompiler(nvrtc, capability), STREAM, capability);

test('a device says what kernels want to know of it', () => {
  const { name, capability, multiprocessors, sharedPerBlock } = openDevice(driver);
  assert.deepEqual([name, capability, multiprocessors, sharedPerBlock], ['Fake GPU', 90, 132, 232_448]);
});

test('no GPU, and one that is too old, are told as the user can mend them', () => {
  fake().set('COUNT', 0);
  assert.throws(() => openDevice(driver), NoGpuError);
  process.env['CUDA_VISIBLE_DEVICES'] = '';
  assert.throws(() => openDevice(driver), /shows no GPU \(CUDA_VISIBLE_DEVICES is ''\): choose --device cpu/);
  delete process.env['CUDA_VISIBLE_DEVICES'];
  fake().set('COUNT', 1);
  fake().set('CAPABILITY', 70);
  assert.throws(
    () => openDevice(driver),
    (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /Fake GPU has compute capability 7\.0; Westwind needs 7\.5/);
      return true;
    },
  );
  fake().set('CAPABILITY', 75);
  assert.equal(openDevice(driver).capability, 75);
});

test("a call that fails is named, with the driver's own words", () => {
  fake().set('FAIL', 'cuStreamSynchronize:1:719');
  assert.throws(
    () => driver.call('cuStreamSynchronize', STREAM),
    (error: Error) => {
      assert.ok(error instanceof CudaError);
      assert.equal(
        error.message,
        'cuStreamSynchronize failed: CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)',
      );
      return true;
    },
  );
});

test("arguments lie where a C compiler puts a kernel's parameters", () => {
  const memory = new DataView(new ArrayBuffer(256));
  const reads = load(path).func(
    'int ww_fake_reads(const void *m, uint64_t p, int i, float f, uint32_t u, int64_t l, int i2, double d, uint64_t p2, float f2)',
  ) as (...args: unknown[]) => number;
  const numbers = fc.tuple(
    fc.maxSafeNat(),
    fc.integer(),
    fc.float({ noNaN: true }),
    fc.nat(2 ** 31 - 1).map((n) => 2 * n + 1),
    fc.maxSafeInteger(),
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.maxSafeNat(),
    fc.float({ noNaN: true }),
  );
  fc.assert(
    fc.property(numbers, (values) => {
      packer('pifulidpf')(memory, values);
      return reads(new Uint8Array(memory.buffer), ...values) === 1;
    }),
  );
  // Any order: each on a multiple of its own size, none over another.
  fc.assert(
    fc.property(fc.array(fc.constantFrom('p', 'i', 'u', 'f', 'l', 'd'), { minLength: 1 }), (letters) => {
      let end = 0;
      for (const letter of letters) {
        const size = 'pld'.includes(letter) ? 8 : 4;
        end = Math.ceil(end / size) * size + size;
      }
      const room = new DataView(new ArrayBuffer(end));
      return packer(letters.join(''))(room, Array<number>(letters.length).fill(1)) === end;
    }),
  );
});

test('a launch brings grid, block, shared memory and arguments; a new card begins before the last kernel ends', () => {
  for (const [capability, how] of [
    [80, 'launch'],
    [90, 'early'],
  ] as const) {
    fake().set('LOG', '');
    const kernel = launcher(capability).kernel('parts', 'ww_any', 'pif');
    kernel.launch([3, 2, 1], 128, 60_000, 0x1234567890, -2, 1.5);
    kernel.launch([0, 2, 1], 128, 0, 0, 0, 0);
    assert.deepEqual(fake().log(), [
      `${how} ww_any grid 3,2,1 block 128 shared 60000 arguments 9078563412000000feffffff0000c03f`,
    ]);
  }
  assert.throws(
    () => launcher().kernel('parts', 'ww_any', 'p').launch([1, 1, 1], 1, 0),
    /takes 1 arguments, not 0/,
  );
});

test('a launch that fails names the kernel', () => {
  fake().set('FAIL', 'cuLaunchKernelEx:1:719');
  assert.throws(
    () => launcher().kernel('parts', 'ww_add_parts', 'p').launch([1, 1, 1], 1, 0, 0),
    /the launch of ww_add_parts failed: CUDA_ERROR_LAUNCH_FAILED/,
  );
});

test("a kernel that does not compile shows the compiler's words", () => {
  assert.throws(
    () => launcher().kernel('parts', 'ww_any', 'p', { WW_BROKEN: 1 }).launch([1, 1, 1], 1, 0, 0),
    /parts\.cu does not compile \(--gpu-architecture=sm_90a.*#define WW_BROKEN 1\):\nfake\.cu\(1\): error: this is broken/s,
  );
});

test('a kernel is compiled once, and again when its machine code is damaged', () => {
  const launch = (): void =>
    launcher().kernel('parts', 'ww_any', 'p', { CACHED: 1 }).launch([1, 1, 1], 1, 0, 0);
  const before = fake().compiled();
  launch();
  launch();
  assert.equal(fake().compiled(), before + 1);
  const folder = join(cache, 'cuda');
  for (const file of readdirSync(folder)) writeFileSync(join(folder, file), 'co');
  launch();
  assert.equal(fake().compiled(), before + 2);
});

test('a cache that cannot be written stops nothing', () => {
  const file = join(cache, 'a-file');
  writeFileSync(file, '');
  process.env['WESTWIND_CACHE'] = file;
  try {
    launcher().kernel('parts', 'ww_any', 'p', { UNWRITTEN: 1 }).launch([1, 1, 1], 1, 0, 0);
    const closed = join(cache, 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    process.env['WESTWIND_CACHE'] = closed;
    launcher().kernel('parts', 'ww_any', 'p', { UNWRITTEN: 2 }).launch([1, 1, 1], 1, 0, 0);
  } finally {
    process.env['WESTWIND_CACHE'] = cache;
  }
});
