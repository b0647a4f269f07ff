/** Every verb where koffi's native file cannot be loaded: nothing dies on the way to the reference, and what is missing is said. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { makeModel, temporaryFolder, westwind } from './support.js';

const folder = temporaryFolder();
const hook = join(folder, 'hide-koffi.mjs');
writeFileSync(
  hook,
  `const open = process.dlopen;
process.dlopen = (module, file, ...flags) => {
  if (file.includes('koffi')) throw new Error(file + ': cannot open shared object file');
  return open.call(process, module, file, ...flags);
};`,
);
const env = { NODE_OPTIONS: `--import ${pathToFileURL(hook).href}` };
const CLI = join(import.meta.dirname, '../../src/cli');

test('every verb loads', async () => {
  const verbs = readdirSync(CLI)
    .map((file) => file.replace(/\.ts$/, ''))
    .filter((name) => readFileSync(join(CLI, `${name}.ts`), 'utf8').includes('export const verb'));
  assert.ok(verbs.length >= 15);
  for (const verb of verbs) {
    const { code, stderr } = await westwind([verb, '--help'], { env });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, verb);
  }
});

test('they compute by the reference, and say why', async () => {
  const model = await makeModel(join(folder, 'model'));
  const calls = [
    ['generate', model, '-p', 'The cat', '-n', '2'],
    [
      'bench',
      '--what',
      'gemm,generate',
      '--weights',
      'f32',
      '--batch',
      '1',
      '--prompt-tokens',
      '2',
      '--new-tokens',
      '2',
    ],
  ];
  for (const words of calls) {
    const { code, stderr } = await westwind(words, { env });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^westwind: .*the slow reference is used: .*koffi.*\n$/);
  }
  const { stdout } = await westwind(['doctor'], { env });
  assert.match(stdout, /cpu +not available: .*koffi/);
});
