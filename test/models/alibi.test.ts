import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alibiSlopes, AlibiTable } from '../../src/models/blocks/alibi.js';
import { backend } from '../support/tiny.js';

test('slopes of powers of two, and of what lies between', () => {
  assert.deepEqual([...alibiSlopes(4)], [1 / 4, 1 / 16, 1 / 64, 1 / 256]);
  const twelve = [...alibiSlopes(12)];
  assert.deepEqual(twelve.slice(0, 8), [...alibiSlopes(8)]);
  assert.deepEqual(twelve.slice(8), [...alibiSlopes(16)].filter((_, i) => i % 2 === 0).slice(0, 4));
});

test('biases are slopes in bfloat16 times distance and the scale of scores', async () => {
  const be = await backend();
  const empty = be.memory().held;
  const table = new AlibiTable(be, 16, 0.125);
  const bias = table.upTo(300);
  const [heads, width] = bias.shape as [number, number];
  assert.deepEqual([heads, width], [16, 2 * 512 - 1]);
  const values = await bias.toFloat32();
  // The first slope is 2^(-1/2), which bfloat16 has as 181 / 256.
  for (const distance of [-299, -3, 0]) assert.equal(values[511 + distance], (181 / 256) * distance * 0.125);
  assert.equal(values[width + 511 - 10], -10 / 2 / 8);
  assert.equal(table.upTo(512), bias);
  table.dispose();
  assert.equal(be.memory().held, empty);
});
