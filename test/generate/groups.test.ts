/** Prompts that share a cache: the long ones apart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { promptGroups } from '../../src/generate/prompts.js';

test('every prompt goes once, in its order, through a cache that is as large as it must be', () => {
  const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 1, max: 90_000 })), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 80 }), (given, batchSize) => {
      const prompts = given.map((length, index) => ({ index, ids: new Array<number>(length).fill(0) }));
      const groups = promptGroups(prompts, batchSize, 20);
      const seen = groups.flatMap((group) => group.prompts.map(({ index }) => index));
      assert.deepEqual(
        [...seen].sort((a, b) => a - b),
        [...prompts.keys()],
      );
      for (const { prompts: some, slots } of groups) {
        assert.deepEqual(
          some,
          [...some].sort((a, b) => a.index - b.index),
        );
        assert.ok(slots >= 1 && slots <= Math.min(batchSize, some.length));
        const longest = Math.max(...some.map(({ ids }) => ids.length));
        assert.ok(slots === 1 || slots * (longest + 20) <= 65_536, `${slots} slots of ${longest}`);
      }
    }),
    { numRuns: 200 },
  );
  // Where all have room nothing is set apart.
  const short = Array.from({ length: 99 }, (_, index) => ({ index, ids: [1, 2, 3] }));
  assert.deepEqual(promptGroups(short, 16, 20), [{ prompts: short, slots: 16 }]);
});
