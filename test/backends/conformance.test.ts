/**
 * One suite for all backends: every kernel against the reference, the reference against formulas and finite differences of the test's
 * own; the same bits from run to run, for any number of threads, and for a row in any batch. WESTWIND_TEST_BACKENDS names the
 * backends (cpu where it is not set); one that is named and missing fails.
 */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Backend } from '../../src/backends/contract.js';
import type { Kernels } from '../../src/backends/kernels.js';
import { createReferenceBackend } from '../../src/backends/reference/index.js';
import { createBackend } from '../../src/backends/select.js';
import { BACKENDS } from '../support/backends.js';
import { batchCases, groupCases } from './conformance/batches.js';
import { bf16Cases } from './conformance/bf16.js';
import { CASES, TERMS, TOLERANCE } from './conformance/cases.js';
import {
  ALIGNMENTS,
  assertClose,
  assertSameBits,
  execute,
  valuesOf,
  type Case,
  type Results,
} from './conformance/harness.js';

const KERNELS = Object.keys(CASES) as (keyof Kernels)[];

const reference = createReferenceBackend();
/** What the reference makes of each case. */
const wanted = new Map<Case, Results>();

async function wantedOf(test: Case): Promise<Results> {
  const known = wanted.get(test);
  if (known) return known;
  const results = await execute(reference, test);
  wanted.set(test, results);
  return results;
}

/** A kernel's cases on a backend. */
function casesOf(backend: Backend, kernel: keyof Kernels): readonly Case[] {
  const cases = CASES[kernel];
  return backend.activations === 'bf16' ? [...cases, ...bf16Cases(kernel, cases)] : cases;
}

describe('reference', () => {
  for (const kernel of KERNELS) {
    it(`${kernel} follows its formula`, async () => {
      for (const test of CASES[kernel]) {
        const found = await wantedOf(test);
        for (const [name, numbers] of Object.entries(test.expected?.() ?? {})) {
          const tolerance = Math.max(TOLERANCE[kernel], exact(found[name]!.dtype));
          assertClose(
            found[name]!,
            numbers,
            { tolerance: test.tolerance ?? tolerance, terms: TERMS[kernel] },
            `${kernel} (${test.name}): ${name}`,
          );
        }
      }
    });
  }

  it('frees what it allocates, and refuses a buffer that was freed', async () => {
    assert.equal(reference.memory().held, 0);
    const buffer = reference.alloc(64);
    assert.equal(reference.memory().held, 64);
    assert.ok(reference.memory().peak >= 64);
    reference.free(buffer);
    const gone = { buffer, offset: 0, dtype: 'f32', length: 16 } as const;
    assert.throws(() => reference.kernels.fill({ y: gone, n: 16, value: 0 }), /freed/);
    assert.throws(() => reference.free(buffer), /freed/);
    await reference.synchronize();
  });

  it('refuses a span that is shorter than its kernel needs', () => {
    const buffer = reference.alloc(64);
    const y = { buffer, offset: 0, dtype: 'f32', length: 16 } as const;
    assert.throws(() => reference.kernels.fill({ y, n: 17, value: 0 }), RangeError);
    reference.free(buffer);
  });
});

for (const name of BACKENDS) {
  describe(name, () => {
    let backend: Backend;
    before(async () => {
      backend = (await createBackend(name)).backend;
    });

    for (const kernel of KERNELS) {
      it(`${kernel} does as the reference does`, async () => {
        for (const test of casesOf(backend, kernel))
          for (const alignment of ALIGNMENTS) {
            const found = await execute(backend, test, alignment);
            for (const [output, numbers] of Object.entries(await wantedOf(test))) {
              const what = `${kernel} (${test.name}, aligned to ${alignment}): ${output}`;
              assertClose(
                found[output]!,
                valuesOf(numbers),
                { tolerance: test.tolerance ?? TOLERANCE[kernel], terms: TERMS[kernel] },
                what,
              );
            }
          }
      });
    }

    it('gives the same bits in every run, for any number of threads', async () => {
      const first = new Map<keyof Kernels, Results[]>();
      for (const threads of [1, 1, 2, 3]) {
        const other = (await createBackend(name, { threads })).backend;
        for (const kernel of KERNELS) {
          const results: Results[] = [];
          for (const [i, test] of casesOf(other, kernel).entries()) {
            results.push(await execute(other, test));
            const earlier = first.get(kernel)?.[i];
            if (earlier) assertSameBits(results[i]!, earlier, `${kernel} (${test.name}), ${threads} threads`);
          }
          if (!first.has(kernel)) first.set(kernel, results);
        }
      }
    });
  });
}

for (const name of ['reference', ...BACKENDS]) {
  describe(`${name}: a row's bits do not depend on its batch`, async () => {
    const { backend } = await createBackend(name);
    // Libraries choose their products' tiles by the whole shape.
    if (!backend.batchInvariant) return;
    for (const { name: what, rows, of } of batchCases()) {
      it(what, async () => {
        const whole = await execute(backend, of(0, rows));
        for (const [first, count] of [
          [0, 1],
          [rows - 1, 1],
          [1, 2],
          [0, rows - 1],
        ] as const) {
          // prettier-ignore
          const part = await execute(backend, of(first, count));
          for (const [output, { dtype, data }] of Object.entries(part)) {
            const size = data.length / count;
            const same = whole[output]!.data.slice(first * size, (first + count) * size);
            assertSameBits(part, { [output]: { dtype, data: same } }, `${what}, rows ${first}+${count}`);
          }
        }
      });
    }
  });
}

for (const name of ['reference', ...BACKENDS]) {
  describe(`${name}: a group's bits are those of its rows alone`, async () => {
    const { backend } = await createBackend(name);
    for (const { name: what, groups, of } of groupCases(backend)) {
      it(what, async () => {
        const { first, rows, count } = groups.at(-1)!;
        const whole = (await execute(backend, of(0, first + rows * count, groups)))['c']!;
        const n = whole.data.length / (first + rows * count);
        for (const group of groups)
          for (let i = 0; i < group.count; i++) {
            const at = group.first + i * group.rows;
            const alone = await execute(backend, of(at, group.rows));
            const data = whole.data.slice(at * n, (at + group.rows) * n);
            assertSameBits({ c: { dtype: whole.dtype, data } }, alone, `rows ${at}+${group.rows}`);
          }
      });
    }
  });
}

describe('createBackend', () => {
  it('takes what is there for auto, and says so where that is not the best', async () => {
    const { backend, notice } = await createBackend('auto');
    assert.equal(notice === undefined, backend.name !== 'reference');
  });

  it('refuses an unknown name', async () => {
    await assert.rejects(
      createBackend('abacus'),
      /unknown device 'abacus': choose auto, cuda, cpu or reference/,
    );
  });
});

/** A formula's numbers are not rounded yet to the output's type. */
function exact(dtype: string): number {
  return dtype === 'f32' ? 1e-7 : 0;
}
