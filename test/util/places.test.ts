/** Files that are read in places. */

import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PlacedFile, stampAt } from '../../src/util/places.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-places-'));
after(() => rmSync(folder, { recursive: true }));

test('a file is read in places, and one that became shorter is told', () => {
  const path = join(folder, 'a');
  writeFileSync(path, 'abcdefgh');
  const file = new PlacedFile(path);
  const bytes = Buffer.alloc(3);
  file.read(bytes, 2);
  assert.equal(bytes.toString(), 'cde');
  truncateSync(path, 4);
  assert.throws(() => file.read(bytes, 2), {
    name: 'UserError',
    message: /a became shorter while it was read$/,
  });
  assert.throws(() => new PlacedFile(folder), /it is a folder, not a file/);
});

test('its stamp tells what was written to, and what was put in its place', () => {
  const path = join(folder, 'b');
  writeFileSync(path, 'one');
  const file = new PlacedFile(path);
  const before = stampAt(path);
  assert.equal(file.stamp(), before);
  writeFileSync(`${path}2`, 'two');
  renameSync(`${path}2`, path);
  assert.notEqual(stampAt(path), before);
  // What is open is what it was.
  assert.equal(file.stamp(), before);
  appendFileSync(path, '3');
  assert.notEqual(new PlacedFile(path).stamp(), file.stamp());
  assert.equal(stampAt(join(folder, 'none')), '');
});
