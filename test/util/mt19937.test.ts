import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomState } from '../../src/util/mt19937.js';

test('the Mersenne Twister gives the numbers of its authors, past a refill', () => {
  const random = new RandomState(5489);
  const numbers = Array.from({ length: 10_000 }, () => random.uint32());
  assert.equal(numbers[0], 3499211612);
  // The 10,000th number that C++ demands of std::mt19937.
  assert.equal(numbers[9999], 4123659995);
});
