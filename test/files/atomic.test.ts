/** Files that appear whole or not at all. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { AtomicFile, writeFileAtomic } from '../../src/util/atomic.js';
import { writeFault } from '../../src/util/faults.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'x');

describe('writeFileAtomic', () => {
  it('replaces a file by text or bytes and leaves nothing else', () => {
    writeFileAtomic(path, 'grüße');
    assert.equal(readFileSync(path, 'utf8'), 'grüße');
    writeFileAtomic(path, Uint8Array.of(1, 2));
    assert.deepEqual([...readFileSync(path)], [1, 2]);
    assert.deepEqual(readdirSync(folder), ['x']);
  });

  it('says what stands in the way', () => {
    writeFileSync(path, '');
    mkdirSync(join(folder, 'd'));
    const fails = (at: string, what: RegExp): void =>
      assert.throws(
        () => writeFileAtomic(join(folder, at), 'x'),
        (error) => error instanceof UserError && what.test(error.message),
      );
    fails('none/x', /its folder does not exist/);
    fails('x/y', /is a file, not a folder/);
    fails('d', /a folder of that name is in the way/);
    assert.deepEqual(readdirSync(folder).sort(), ['d', 'x']);
  });
});

describe('AtomicFile', () => {
  it('shows nothing before commit, and nothing after abort', async () => {
    const target = join(folder, 'y');
    const file = new AtomicFile(target);
    await file.write(Uint8Array.of(1));
    assert.ok(!readdirSync(folder).includes('y'));
    file.abort();
    assert.ok(!readdirSync(folder).some((name) => name.includes('y')));
  });
});

describe('writeFault', () => {
  it('names the mend for a full disk, and leaves our own faults alone', () => {
    const fault = writeFault('out.bin', Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' }));
    assert.ok(fault instanceof UserError);
    assert.equal(fault.message, 'cannot write out.bin: the disk is full; free some space and run again');
    const own = new TypeError('x is undefined');
    assert.equal(writeFault('out.bin', own), own);
  });
});
