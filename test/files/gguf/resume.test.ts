/** A GGUF file whose writer is killed: the next one goes on, and the bytes are those of one that was not. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { GgufFile, writeGguf } from '../../../src/files/index.js';
import { temporaryFolder } from '../../cli/support.js';
import { KEYS, tensorsOf } from './resume-file.js';

const folder = temporaryFolder();
const COUNT = 12;
let whole: Buffer;
before(async () => {
  const path = join(folder, 'whole.gguf');
  await writeGguf(
    path,
    KEYS,
    tensorsOf(async () => {}),
  );
  whole = readFileSync(path);
});

/** Starts a writer and kills it once it makes its `n`-th tensor, or before it has made any. */
async function killed(path: string, key: string, n: number): Promise<void> {
  const script = fileURLToPath(new URL('./slow-writer.ts', import.meta.url));
  const args = ['--import', import.meta.resolve('tsx'), script, path, key, '60'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (text: Buffer) => {
    said += text.toString();
    if (said.split('\n').length > n) child.kill('SIGKILL');
  });
  await once(child, 'exit');
}

/** Writes the file here; which tensors were made for it. */
async function written(path: string, key: string): Promise<string[]> {
  const made: string[] = [];
  const tensors = tensorsOf((name) => {
    made.push(name);
    return Promise.resolve();
  });
  const seen: number[] = [];
  await writeGguf(path, KEYS, tensors, { key: [key], onProgress: (done, total) => seen.push(done / total) });
  assert.equal(seen.at(-1), 1);
  return made;
}

describe('a file whose writer was killed', () => {
  for (const n of [1, 2, 5, 9, 12])
    it(`at tensor ${n} of ${COUNT}: is gone on with`, async () => {
      const path = join(folder, `${n}.gguf`);
      await killed(path, 'a', n);
      assert.equal(existsSync(path), false);
      const made = await written(path, 'a');
      // What is there but for its last tensor, which may not have reached the disk.
      assert.ok(made.length <= COUNT - Math.max(0, n - 2), `${made.length} made`);
      assert.deepEqual(readFileSync(path), whole);
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.startsWith('.')),
        [],
      );
    });

  it('twice', async () => {
    const path = join(folder, 'twice.gguf');
    await killed(path, 'a', 4);
    await killed(path, 'a', 4);
    assert.ok((await written(path, 'a')).length <= COUNT - 4);
    assert.deepEqual(readFileSync(path), whole);
  });

  it('of something else: is begun anew, and what was there is gone', async () => {
    const path = join(folder, 'other.gguf');
    await killed(path, 'a', 6);
    assert.equal((await written(path, 'b')).length, COUNT);
    assert.deepEqual(readFileSync(path), whole);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('.')),
      [],
    );
  });

  it('another that is written meanwhile is told in a line', async () => {
    const path = join(folder, 'busy.gguf');
    const parent = `${process.ppid} ${readFileSync(`/proc/${process.ppid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19]!}`;
    writeFileSync(join(folder, '.busy.gguf.writing.pid'), parent);
    await assert.rejects(written(path, 'a'), /busy\.gguf is being written by process \d+: wait for it/);
  });

  it('an abort and a fault leave nothing', async () => {
    const path = join(folder, 'aborted.gguf');
    const stop = new AbortController();
    const tensors = tensorsOf((name) => {
      if (name === 'blk.3.weight') stop.abort();
      return Promise.resolve();
    });
    await assert.rejects(writeGguf(path, KEYS, tensors, { key: ['a'], signal: stop.signal }), /abort/i);
    await assert.rejects(
      writeGguf(
        path,
        KEYS,
        tensorsOf(() => Promise.reject(new Error('fault'))),
        { key: ['a'] },
      ),
      /fault/,
    );
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('aborted')),
      [],
    );
  });

  it('is read as any other', () => {
    const file = GgufFile.open(join(folder, '5.gguf'));
    assert.equal(file.tensors.size, COUNT);
    file.close();
  });
});
