/** `westwind export`, as its users start it. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import { GgufFile } from '../../src/files/index.js';
import { saveModel } from '../../src/models/save.js';
import { backend, tinyConfig, tinyModel } from '../support/tiny.js';
import { makeJob, makeModel, runFolder, start, temporaryFolder, westwind } from './support.js';

const example = resolve(import.meta.dirname, '../../examples/model');
const stories = resolve(import.meta.dirname, '../golden/stories260K');
const folder = temporaryFolder();
const large = join(folder, 'large');

before(async () => {
  const config = tinyConfig({ num_hidden_layers: 60, vocab_size: 512, hidden_size: 128 });
  const model = await tinyModel(await backend('cpu'), { seed: 3 }, config);
  await saveModel(model, large, { companionsOf: stories });
  model.dispose();
});

describe('westwind export', () => {
  it('writes a model, says what llama.cpp does otherwise, and does not write over it', async () => {
    const out = join(folder, 'example.gguf');
    const { code, stdout, stderr } = await westwind(['export', example, '--type', 'q8_0', '-o', out]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^wrote .*example\.gguf: 48 tensors, \d+\.\d MB, Q8_0\n$/);
    assert.match(stderr, /sees the last 512: longer texts differ/);
    const file = GgufFile.open(out);
    assert.equal(file.metadata.get('general.architecture')?.value, 'llama');
    assert.equal(file.metadata.get('general.name')?.value, 'model');
    assert.equal(file.tensors.get('output.weight')?.type, 'Q8_0');
    file.close();
    const again = await westwind(['export', example, '-o', out]);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /is there already: name another file, or write over it by --force/);
    assert.equal((await westwind(['export', example, '-o', out, '--type', 'f16', '--force'])).code, 0);
  });

  it('takes what a run trained', async () => {
    const model = await makeModel(join(temporaryFolder(), 'model'));
    const job = makeJob(model, { 'max_steps: 40': 'max_steps: 1' });
    const running = await westwind(['run', job.config]);
    assert.equal(running.code, 0, running.stderr);
    const out = join(folder, 'run.gguf');
    const all = await westwind(['export', runFolder(job), '-o', out]);
    assert.equal(all.code, 0, all.stderr);
    const one = await westwind(['export', runFolder(job), '--task', 'subjects', '-o', out, '--force']);
    assert.equal(one.code, 0, one.stderr);
    const adapter = join(folder, 'adapter.gguf');
    const args = ['--to', 'adapter-gguf', '--task', 'subjects', '-o', adapter];
    assert.equal((await westwind(['export', runFolder(job), ...args])).code, 0);
    const file = GgufFile.open(adapter);
    assert.equal(file.metadata.get('general.type')?.value, 'adapter');
    file.close();
    const wrong = await westwind(['export', runFolder(job), '--task', 'other', '-o', out, '--force']);
    assert.match(wrong.stderr, /--task other: .* has subjects/);
  });

  for (const [what, args, message] of [
    ['a type that is not known', [example, '--type', 'q3_k'], /--type q3_k: f32, f16, bf16, .* are known/],
    ['a format that is not known', [example, '--to', 'onnx'], /--to onnx: gguf, adapter-gguf are known/],
    ['safetensors', [example, '--to', 'safetensors'], /'westwind merge ADAPTER -o DIR' writes that/],
    ['a task of no run', [example, '--task', 'x'], /--task goes with a run's folder/],
    ['no model', [join(folder, 'nothing'), '--device', 'cpu'], /nothing/],
  ] as const)
    it(`refuses ${what} in one line`, async () => {
      const out = join(folder, 'refused.gguf');
      const { code, stderr } = await westwind(['export', ...args, '-o', out]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
      assert.equal(existsSync(out), false);
    });

  it('leaves everything as it was on Ctrl-C', async () => {
    const out = join(folder, 'stopped', 'model.gguf');
    const where = join(folder, 'stopped');
    mkdirSync(where);
    writeFileSync(out, 'earlier');
    for (let tries = 1; ; tries++) {
      const running = start(['export', large, '--type', 'q4_k_m', '-o', out, '--force']);
      let sent = false;
      const watcher = watch(where, () => {
        // A second one would end it at once.
        if (!sent) running.signal('SIGINT');
        sent = true;
      });
      const { code, stdout } = await running.ended;
      watcher.close();
      // On a busy machine the signal may come after the end.
      if (code === 0 && tries < 5) {
        writeFileSync(out, 'earlier');
        continue;
      }
      assert.equal(code, 130);
      assert.equal(stdout, `stopped; ${out} is as it was before\n`);
      break;
    }
    assert.equal(readFileSync(out, 'utf8'), 'earlier');
    assert.deepEqual(readdirSync(where), ['model.gguf']);
  });
});
