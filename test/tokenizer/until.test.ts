/** A text ends with the first of its ends that is whole, however it comes in pieces, and nothing of that is given out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TextUntil } from '../../src/tokenizer/until.js';

/** Letter by letter. */
function reference(text: string, ends: readonly string[]): string {
  for (let n = 1; n <= text.length; n++) {
    const whole = ends.filter((end) => text.slice(0, n).endsWith(end)).sort((a, b) => b.length - a.length)[0];
    if (whole !== undefined) return text.slice(0, n - whole.length);
  }
  return text;
}

const word = (min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: min, maxLength: max });

test('whatever the pieces, ends and text', () => {
  fc.assert(
    fc.property(
      fc.array(word(0, 6), { maxLength: 12 }),
      fc.array(word(1, 5), { maxLength: 3 }),
      (pieces, ends) => {
        const until = new TextUntil(ends);
        const given: string[] = [];
        for (const piece of pieces) {
          given.push(until.push(piece));
          // Nothing that is out is taken back.
          assert.ok(reference(pieces.join(''), ends).startsWith(given.join('')));
        }
        given.push(until.end());
        assert.equal(given.join(''), reference(pieces.join(''), ends));
        assert.equal(
          until.ended,
          ends.some((end) => pieces.join('').includes(end)),
        );
      },
    ),
    { numRuns: 2000 },
  );
});
