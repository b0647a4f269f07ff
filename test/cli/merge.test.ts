/** `westwind merge` over an earlier result, ended in the middle. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { attachLora } from '../../src/adapters/lora.js';
import { saveAdapter } from '../../src/adapters/peft.js';
import { openCheckpoint } from '../../src/files/index.js';
import { saveModel } from '../../src/models/save.js';
import { backend, tinyConfig, tinyModel } from '../support/tiny.js';
import { start, temporaryFolder, westwind, type Outcome } from './support.js';

const folder = temporaryFolder();
const [base, adapter] = [join(folder, 'base'), join(folder, 'adapter')];

/** In many files, so that there is a middle. */
const merge = (out: string, ...more: string[]): string[] => [
  'merge',
  adapter,
  '--model',
  base,
  '-o',
  out,
  '--max-shard-size',
  '1KB',
  ...more,
];

before(async () => {
  const be = await backend('cpu');
  const model = await tinyModel(be, { seed: 3 }, tinyConfig({ num_hidden_layers: 40 }));
  await saveModel(model, base);
  const lora = attachLora(
    model,
    { r: 2, lora_alpha: 4, lora_dropout: 0, use_rslora: false, target_modules: ['q_proj'] },
    { seed: 1 },
  );
  await saveAdapter(lora, adapter, base);
  lora.dispose();
  model.dispose();
});

/** A merge with --force in another type, sent a signal once some of its files are written. */
async function interrupted(out: string, signal: NodeJS.Signals): Promise<Outcome> {
  for (let tries = 1; ; tries++) {
    const running = start(merge(out, '--force', '--dtype', tries % 2 ? 'bfloat16' : 'float16'));
    let sent = false;
    const watcher = watch(out, () => {
      if (sent) return;
      const begun = readdirSync(out).filter((name) => /^\.model-.*\.tmp$/.test(name)).length > 3;
      if (!begun) return;
      sent = true;
      running.signal(signal);
    });
    const outcome = await running.ended;
    watcher.close();
    // On a busy machine the signal may come after the end.
    if (outcome.code !== 0 || tries === 5) return outcome;
  }
}

function contents(path: string): Record<string, string> {
  const names = readdirSync(path).filter((name) => !name.startsWith('.'));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(path, name), 'latin1')]));
}

describe('westwind merge --force', () => {
  it('leaves the earlier result as it was on Ctrl-C', async () => {
    const out = join(folder, 'stopped');
    assert.equal((await westwind(merge(out))).code, 0);
    const earlier = contents(out);
    const { code, stdout, stderr } = await interrupted(out, 'SIGINT');
    assert.equal(code, 130);
    assert.equal(stdout + stderr, `stopped; ${out} is as it was before\n`);
    assert.deepEqual(contents(out), earlier);
    assert.deepEqual(readdirSync(out).sort(), Object.keys(earlier));
  });

  it('leaves it loadable on a kill, and the next call removes what is left', async () => {
    const out = join(folder, 'killed');
    assert.equal((await westwind(merge(out))).code, 0);
    const earlier = contents(out);
    assert.equal((await interrupted(out, 'SIGKILL')).signal, 'SIGKILL');
    assert.deepEqual(contents(out), earlier);
    assert.ok(readdirSync(out).some((name) => name.endsWith('.tmp')));
    openCheckpoint(out).close();
    const next = await westwind(merge(out, '--force'));
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual(readdirSync(out).sort(), Object.keys(earlier));
    assert.deepEqual(contents(out), earlier);
  });

  it('needs no --force where a killed call had nothing to write over', async () => {
    const out = join(folder, 'fresh');
    const running = start(merge(out));
    const look = setInterval(() => {
      if (existsSync(out) && readdirSync(out).length > 3) running.signal('SIGKILL');
    }, 1);
    const killed = (await running.ended).signal !== null;
    clearInterval(look);
    const next = await westwind(merge(out, ...(killed ? [] : ['--force'])));
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual(
      readdirSync(out).filter((name) => name.startsWith('.')),
      [],
    );
  });
});
