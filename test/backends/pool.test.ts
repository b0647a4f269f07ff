/** The caching allocator: what it reuses, what it counts, what it gives back, and what it says at the end of memory. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Pool, sizeClass, type SystemMemory } from '../../src/backends/pool.js';
import { UserError } from '../../src/util/errors.js';

/** A system of `limit` bytes that knows what it has given out. */
function system(
  limit = Infinity,
): SystemMemory<number> & { blocks: Map<number, number>; total: () => number } {
  const blocks = new Map<number, number>();
  let next = 64;
  const total = (): number => [...blocks.values()].reduce((a, b) => a + b, 0);
  return {
    blocks,
    total,
    alloc(bytes) {
      if (total() + bytes > limit) return undefined;
      blocks.set(next, bytes);
      next += bytes;
      return next - bytes;
    },
    free(handle, bytes) {
      assert.equal(blocks.get(handle), bytes);
      blocks.delete(handle);
    },
  };
}

const MIB = 2 ** 20;

void describe('Pool', () => {
  it('counts what is held, and holds what it counts', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 200 * MIB }))), (steps) => {
        const memory = system();
        const pool = new Pool(memory, 'memory');
        const held: { bytes: number; buffer: ReturnType<typeof pool.alloc> }[] = [];
        let peak = 0;
        for (const [take, bytes] of steps) {
          if (take) held.push({ bytes, buffer: pool.alloc(bytes) });
          else if (held.length > 0) pool.free(held.splice(bytes % held.length, 1)[0]!.buffer);
          const sum = held.reduce((a, b) => a + b.bytes, 0);
          peak = Math.max(peak, sum);
          assert.deepEqual(pool.use(), { held: sum, peak, reserved: memory.total() });
          assert.ok(memory.total() <= 1.25 * peak + 64 * MIB + 64 * (held.length + 1));
          for (const { bytes, buffer } of held)
            assert.ok(memory.blocks.get(buffer.handle as number)! >= bytes);
          assert.equal(new Set(held.map((h) => h.buffer.handle)).size, held.length);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('asks the system for nothing the second time', () => {
    const memory = system();
    const pool = new Pool(memory, 'memory');
    const step = (): void => {
      const buffers = [3 * MIB, 5 * MIB, 100, 3 * MIB].map((bytes) => pool.alloc(bytes));
      for (const buffer of buffers) pool.free(buffer);
    };
    step();
    const blocks = [...memory.blocks];
    for (let i = 0; i < 5; i++) step();
    assert.deepEqual([...memory.blocks], blocks);
  });

  it('gives free blocks back when asked and when the system has no more', () => {
    const memory = system(10 * MIB);
    const pool = new Pool(memory, 'memory');
    pool.free(pool.alloc(6 * MIB));
    const kept = pool.alloc(8 * MIB);
    assert.equal(memory.total(), 8 * MIB);
    pool.free(kept);
    pool.trim();
    assert.deepEqual(pool.use(), { held: 0, peak: 8 * MIB, reserved: 0 });
    pool.resetPeak();
    assert.equal(pool.use().peak, 0);
  });

  it('names the device, what was asked for and what is in use', () => {
    const pool = new Pool(system(10 * MIB), 'the toy');
    pool.alloc(4 * MIB);
    assert.throws(
      () => pool.alloc(8 * MIB),
      (e) => e instanceof UserError && e.message.startsWith('the toy has no 8 MiB left (4 MiB in use)'),
    );
  });

  it('gives recordings memory of their own, which they share, until the last is let go', () => {
    const part = fc.integer({ min: 0, max: 100 });
    const sizes = fc.array(fc.tuple(fc.integer({ min: 0, max: 1000 }), part), { maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 0, max: 1000 })), (sizes, others) => {
        const memory = system();
        const pool = new Pool(memory, 'memory');
        const record = (sizes: readonly number[]): { release: () => void; handles: unknown[] } => {
          const handles: unknown[] = [];
          const apart = pool.apart(() => {
            const buffers = sizes.map((bytes) => pool.alloc(bytes));
            for (const { handle, bytes } of buffers) {
              assert.ok(memory.blocks.get(handle as number)! >= bytes);
              handles.push(handle);
            }
            for (const buffer of buffers) pool.free(buffer);
          });
          assert.equal(new Set(handles).size, handles.length);
          return { release: () => apart.release(), handles };
        };
        const one = record(sizes.map(([bytes]) => bytes));
        const { held } = pool.use();
        // Smaller things fit into what there is.
        const other = record(sizes.map(([bytes, share]) => Math.floor((bytes * share) / 100)));
        assert.equal(pool.use().held, held);
        const outside = others.map((bytes) => pool.alloc(bytes));
        one.release();
        outside.push(...others.map((bytes) => pool.alloc(bytes)));
        for (const { handle } of outside)
          assert.ok(!one.handles.includes(handle) && !other.handles.includes(handle));
        other.release();
        for (const buffer of outside) pool.free(buffer);
        assert.equal(pool.use().held, 0);
      }),
    );
  });

  it('refuses to free a buffer twice', () => {
    const pool = new Pool(system(), 'memory');
    const buffer = pool.alloc(10);
    pool.free(buffer);
    assert.throws(() => pool.free(buffer), /freed twice/);
  });
});

void describe('sizeClass', () => {
  it('wastes at most an eighth, and pages where blocks are large', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (bytes) => {
        const size = sizeClass(bytes);
        assert.ok(size >= Math.max(bytes, 64) && size <= Math.max(bytes * 1.125 + 64, 64));
        assert.equal(size % (size >= 2 * MIB ? 4096 : 64), 0);
        assert.equal(sizeClass(size), size);
      }),
    );
  });
});
