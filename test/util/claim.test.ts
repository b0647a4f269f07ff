import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { claimFolder, removeMade } from '../../src/util/claim.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-claim-'));
after(() => rmSync(folder, { recursive: true }));

test('a folder that was made goes again, with those above it that hold nothing else', () => {
  const out = join(folder, 'a/b/c');
  const made = claimFolder(out);
  assert.equal(made, join(folder, 'a'));
  writeFileSync(join(out, 'x'), '');
  removeMade(out, made);
  assert.ok(!existsSync(join(folder, 'a')) && existsSync(folder));
});

test('what others put beside it meanwhile stays', () => {
  const out = join(folder, 'd/e/f');
  const made = claimFolder(out)!;
  mkdirSync(join(folder, 'd/other'));
  writeFileSync(join(folder, 'd/other/x'), 'x');
  removeMade(out, made);
  assert.ok(!existsSync(join(folder, 'd/e')) && existsSync(join(folder, 'd/other/x')));
});

test('nothing was made of a folder that was there', () => {
  mkdirSync(join(folder, 'g'));
  assert.equal(claimFolder(join(folder, 'g')), undefined);
});
