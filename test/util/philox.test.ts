import assert from 'node:assert/strict';
import { test } from 'node:test';
import { philox4x32, philoxFill } from '../../src/util/philox.js';

test('Philox4x32-10 gives the known answers of Random123', () => {
  const ones = 0xffffffff;
  assert.deepEqual(philox4x32([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  assert.deepEqual(
    philox4x32([ones, ones, ones, ones], [ones, ones]),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  );
  assert.deepEqual(
    philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
});

test('filling gives the words of one counter after the other, also where the end cuts one off or the first word wraps', () => {
  for (const length of [1, 4, 7, 8, 13]) {
    const out = new Uint32Array(length);
    philoxFill(out, [0xfffffffc, 5, 6, 7], 4, [8, 9]);
    const words = [0, 1, 2, 3].flatMap((i) => philox4x32([0xfffffffc + 4 * i, 5, 6, 7], [8, 9]));
    assert.deepEqual([...out], words.slice(0, length));
  }
});
