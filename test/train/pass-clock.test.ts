import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassClock } from '../../src/train/pass-clock.js';

test('shared time is divided by rows, and no moment is counted twice or lost', () => {
  let now = 5000;
  const clock = new PassClock<string>(() => now);
  const wait = (seconds: number): number => (now += 1000 * seconds);
  wait(7); // nobody's
  clock.share([
    ['a', 30],
    ['b', 10],
  ]);
  wait(4);
  assert.equal(clock.take('a'), 3);
  wait(4); // while a's step is written
  assert.equal(clock.take('b'), 2);
  clock.share([
    ['a', 10],
    ['b', 10],
  ]);
  wait(2);
  clock.leave('b');
  wait(5);
  assert.equal(clock.take('a'), 3 + 1 + 5);
  assert.equal(clock.take('a'), 0);
});
