/** What is kept is what was set, and never more than there is room for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Memo } from '../../src/tokenizer/memo.js';

test('keeps those that were asked for last, within its room', () => {
  const ids = (length: number): Int32Array => new Int32Array(length).fill(length);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(30), fc.boolean()), { maxLength: 200 }), (steps) => {
      const memo = new Memo<Int32Array>(1000);
      // The same by a list: the newest at its end.
      let model: number[] = [];
      const sizeOf = (n: number): number => 10 * n + 2 * n + 64;
      for (const [n, set] of steps) {
        const text = String(n)
          .padStart(2, '0')
          .repeat(5 * n);
        const there = model.includes(n);
        if (set) {
          memo.set(text, ids(n));
          if (!there) model.push(n);
          while (model.reduce((sum, one) => sum + sizeOf(one), 0) > 1000) model.shift();
        } else {
          assert.deepEqual(memo.get(text), there ? ids(n) : undefined);
          if (there) model = [...model.filter((one) => one !== n), n];
        }
      }
    }),
  );
});

test('what has no room alone pushes nothing out', () => {
  const memo = new Memo<Int32Array>(1000);
  memo.set('small', new Int32Array(3));
  memo.set('x'.repeat(1000), new Int32Array(3));
  assert.equal(memo.get('x'.repeat(1000)), undefined);
  assert.ok(memo.get('small'));
});
