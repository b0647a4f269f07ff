/** README.md's first lines do what they say: a shell runs them as they stand there, on less data and fewer steps. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GgufFile } from '../../src/files/index.js';
import { commandOf, temporaryFolder } from '../cli/support.js';
import { readDocument, ROOT } from './markdown.js';

/** What is asked for besides, to be done in seconds. */
const SHORT: Readonly<Record<string, string>> = {
  run: [
    ...['tasks.topics', 'tasks.dialogues'].flatMap((task) => [
      `${task}.training.max_steps=2`,
      `${task}.baselines=[]`,
      `${task}.test.count=4`,
    ]),
    'tasks.topics.scoring=generate',
    'tasks.topics.test.stratify=false',
  ]
    .map((setting) => `--set '${setting}'`)
    .join(' '),
  serve: '--port 0',
};

/** A folder with the repository's examples, and the programs that the lines call. */
function place(): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
  const cwd = temporaryFolder();
  const bin = join(cwd, 'bin');
  mkdirSync(bin);
  symlinkSync(join(ROOT, 'examples'), join(cwd, 'examples'));
  const script = (name: string, lines: readonly string[]): void => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${lines.join('\n')}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  script('npm', ['test "$*" = ci']);
  const program = commandOf([])
    .map((word) => `'${word}'`)
    .join(' ');
  const more = Object.entries(SHORT).map(([verb, words]) => `${verb}) set -- "$@" ${words};;`);
  script('npx', [
    'test "$1" = westwind || exit 1',
    'shift',
    `case "$1" in ${more.join(' ')} esac`,
    `exec ${program} "$@"`,
  ]);
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    NO_COLOR: '1',
    WESTWIND_THREADS: '1',
  };
  return { cwd, env };
}

test('tune, export, serve', async () => {
  const { cwd, env } = place();
  const [fence] = readDocument('README.md').fences;
  const [run, exported, served, ...more] = fence!.text.trimEnd().split('\n');
  assert.deepEqual(more, []);
  const start = (line: string): ReturnType<typeof spawn> =>
    spawn('/bin/sh', ['-c', line], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const done = async (line: string): Promise<string> => {
    const child = start(line);
    let shown = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (text: Buffer) => (shown += String(text)));
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 0, `${line}\n${shown}`);
    return shown;
  };
  assert.match(await done(run!), /^\| dialogues /m);
  assert.match(await done(exported!), /wrote topics\.gguf: \d+ tensors/);
  const file = GgufFile.open(join(cwd, 'topics.gguf'));
  file.close();
  assert.equal(file.metadata.get('general.architecture')?.value, 'llama');

  const server = start(`exec ${served!}`);
  const ended = new Promise((resolve) => server.on('close', resolve));
  let shown = '';
  const url = await new Promise<string>((resolve, reject) => {
    server.stdout!.on('data', (text: Buffer) => {
      shown += String(text);
      const [, at] = / at (http:\S+\/v1)\n/.exec(shown) ?? [];
      if (at !== undefined) resolve(at);
    });
    server.stderr!.on('data', (text: Buffer) => (shown += String(text)));
    void ended.then(() => reject(new Error(shown)));
  });
  try {
    const list = (await (await fetch(`${url}/models`)).json()) as { data: { id: string }[] };
    assert.deepEqual(
      list.data.map(({ id }) => id),
      ['examples/model', 'topics', 'dialogues'],
    );
    const body = JSON.stringify({ model: 'topics', prompt: '### Sentence:Tea. ### Class:', max_tokens: 4 });
    const reply = await fetch(`${url}/completions`, { method: 'POST', body });
    assert.equal(reply.status, 200, await reply.text());
  } finally {
    server.kill('SIGTERM');
  }
  assert.equal(await ended, 0, shown);
});
