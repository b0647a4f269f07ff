/** Which program a manifest names: against git's own word, and with files that change. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { describeProgram, gitCommit, hashOfFiles } from '../../src/util/program.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-program-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function git(cwd: string, ...args: string[]): string {
  const person = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'init.defaultBranch=main'];
  return execFileSync('git', [...person, ...args], { cwd, encoding: 'utf8' }).trim();
}

test('the commit is the one that git says: on a branch, packed, detached, in a second work tree, and none', () => {
  const repository = join(folder, 'repository');
  mkdirSync(repository);
  assert.equal(gitCommit(repository), undefined);
  git(repository, 'init', '-q');
  git(repository, 'commit', '-q', '--allow-empty', '-m', 'first');
  const first = git(repository, 'rev-parse', 'HEAD');
  assert.match(first, /^[0-9a-f]{40}$/);
  assert.equal(gitCommit(repository), first);
  git(repository, 'pack-refs', '--all');
  assert.equal(gitCommit(repository), first);
  const second = join(folder, 'second');
  git(repository, 'worktree', 'add', '-q', '-b', 'other', second);
  git(second, 'commit', '-q', '--allow-empty', '-m', 'second');
  assert.equal(gitCommit(second), git(second, 'rev-parse', 'HEAD'));
  assert.notEqual(gitCommit(second), first);
  git(second, 'checkout', '-q', '--detach', 'HEAD~1');
  assert.equal(gitCommit(second), first);
});

test('the hash of files is of names and contents, in no order but the names', () => {
  const [a, b] = [join(folder, 'a.js'), join(folder, 'b.js')];
  writeFileSync(a, 'one');
  writeFileSync(b, 'two');
  const hash = hashOfFiles([a, b], folder);
  assert.equal(hashOfFiles([b, a], folder), hash);
  writeFileSync(b, 'twO');
  assert.notEqual(hashOfFiles([a, b], folder), hash);
  assert.notEqual(hashOfFiles([a], folder), hash);
});

test('the program has its code’s hash and the versions of what it stands on', () => {
  const { code, node, dependencies } = describeProgram();
  assert.match(code, /^[0-9a-f]{16}$/);
  assert.equal(describeProgram().code, code);
  assert.equal(node, process.version);
  for (const [name, version] of Object.entries(dependencies)) assert.match(version, /^\d+\.\d+\.\d+/, name);
});
