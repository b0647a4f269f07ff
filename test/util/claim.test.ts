import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { claimFolder } from '../../src/util/claim.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-claim-'));
after(() => rmSync(folder, { recursive: true }));

const text = (path: string): string => readFileSync(path, 'utf8');

test('a folder that was made goes again, with those above it that hold nothing else', () => {
  const out = join(folder, 'a/b/c');
  const claimed = claimFolder(out);
  claimed.write('x', '1');
  claimed.write('below/y', '2');
  claimed.abort();
  assert.ok(!existsSync(join(folder, 'a')) && existsSync(folder));
});

test('what others put beside it meanwhile stays', () => {
  const claimed = claimFolder(join(folder, 'd/e/f'));
  mkdirSync(join(folder, 'd/other'));
  writeFileSync(join(folder, 'd/other/x'), 'x');
  claimed.abort();
  assert.ok(!existsSync(join(folder, 'd/e')) && existsSync(join(folder, 'd/other/x')));
});

test('files take their names together, and until then the folder is as it was', async () => {
  const out = join(folder, 'g');
  mkdirSync(out);
  for (const name of ['x', 'old', 'notes']) writeFileSync(join(out, name), 'before');
  assert.throws(() => claimFolder(out, { own: ['x', 'old'] }), /holds something already \(notes\)/);
  for (const ends of ['abort', 'commit'] as const) {
    const claimed = claimFolder(out, { force: true });
    claimed.write('x', 'after');
    const file = claimed.open('y');
    await file.write(Buffer.from('after'));
    await file.finish();
    claimed.remove('old', 'after');
    claimed.remove('none', 'before');
    assert.deepEqual(shown(out), ['notes', 'old', 'x']);
    assert.equal(text(join(out, 'x')), 'before');
    claimed[ends]();
    claimed.abort();
  }
  assert.deepEqual(readdirSync(out).sort(), ['notes', 'x', 'y']);
  for (const name of ['x', 'y']) assert.equal(text(join(out, name)), 'after');
});

test('where a file cannot take its name, none does', () => {
  const out = join(folder, 'h');
  mkdirSync(join(out, 'y'), { recursive: true });
  writeFileSync(join(out, 'x'), 'before');
  const claimed = claimFolder(out, { force: true });
  claimed.remove('x', 'before');
  for (const name of ['x', 'y']) claimed.write(name, 'after');
  assert.throws(() => claimed.commit(), /cannot write .*y: a folder of that name is in the way/);
  claimed.abort();
  assert.deepEqual(readdirSync(out).sort(), ['x', 'y']);
  assert.equal(text(join(out, 'x')), 'before');
});

test('two writers are kept apart, and what a killed one left is no obstacle and goes', () => {
  const out = join(folder, 'i');
  const first = claimFolder(out);
  assert.throws(() => claimFolder(out), new RegExp(`being written into by process ${process.pid}: wait`));
  first.abort();
  const left = (name: string): string => {
    const script = `import { claimFolder } from ${JSON.stringify(import.meta.resolve('../../src/util/claim.ts'))};
      claimFolder(${JSON.stringify(out)}).write(${JSON.stringify(name)}, 'half'); process.kill(process.pid, 'SIGKILL');`;
    spawnSync(process.execPath, [
      '--import',
      import.meta.resolve('tsx'),
      '--input-type=module',
      '-e',
      script,
    ]);
    return readdirSync(out).join();
  };
  for (const name of ['x', 'other']) assert.match(left(name), /\.tmp/);
  const claimed = claimFolder(out);
  claimed.write('x', 'whole');
  claimed.commit();
  assert.deepEqual(readdirSync(out), ['x']);
});

function shown(path: string): string[] {
  return readdirSync(path)
    .filter((name) => !name.startsWith('.'))
    .sort();
}
