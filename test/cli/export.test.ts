/** `westwind export`, as its users start it. */

import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import { GgufFile, openCheckpoint } from '../../src/files/index.js';
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

  it('writes safetensors as merge does, also of a GGUF file', async () => {
    const gguf = join(folder, 'plain.gguf');
    assert.equal((await westwind(['export', example, '--type', 'bf16', '-o', gguf])).code, 0);
    const out = join(folder, 'safetensors');
    const { code, stdout, stderr } = await westwind(['export', gguf, '--to', 'safetensors', '-o', out]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^wrote .*safetensors: a model folder\n$/);
    const [a, b] = [openCheckpoint(example), openCheckpoint(out)];
    assert.deepEqual([...b.names].sort(), [...a.names].sort());
    for (const name of a.names) assert.deepEqual(b.readFloat32(name), a.readFloat32(name));
    a.close();
    b.close();
  });

  it("writes what Ollama takes: a run's prompts stand as they are, its answers are the likeliest", async () => {
    const model = await makeModel(join(temporaryFolder(), 'model'));
    const job = makeJob(model, { 'max_steps: 40': 'max_steps: 1' });
    assert.equal((await westwind(['run', job.config])).code, 0);
    const out = join(folder, 'ollama');
    const args = ['export', runFolder(job), '--task', 'subjects', '-o', out];
    const { code, stdout, stderr } = await westwind([...args, '--to', 'ollama-adapter']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /F16; ollama create NAME -f .*ollama\/Modelfile\n$/);
    assert.equal(
      readFileSync(join(out, 'Modelfile'), 'utf8'),
      [
        'FROM ./model.gguf',
        'ADAPTER ./adapter.gguf',
        'TEMPLATE """{{ .Prompt }}"""',
        'PARAMETER num_ctx 256',
        'PARAMETER temperature 0',
        'PARAMETER stop "</s>"',
        '',
      ].join('\n'),
    );
    for (const name of ['model', 'adapter']) GgufFile.open(join(out, `${name}.gguf`)).close();
    assert.match((await westwind([...args, '--to', 'ollama'])).stderr, /Modelfile is there already/);
    assert.equal((await westwind([...args, '--to', 'ollama', '--force'])).code, 0);
    assert.doesNotMatch(readFileSync(join(out, 'Modelfile'), 'utf8'), /ADAPTER/);
    const chat = join(folder, 'chat');
    cpSync(model, chat, { recursive: true });
    writeFileSync(
      join(chat, 'chat_template.jinja'),
      '{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}',
    );
    const other = join(folder, 'ollama-chat');
    assert.equal((await westwind(['export', chat, '--to', 'ollama', '-o', other])).code, 0);
    const text = readFileSync(join(other, 'Modelfile'), 'utf8');
    assert.match(
      text,
      /TEMPLATE """{{ if \.System }}<system>{{ \.System }}<\/s><user>{{ else }}<user>{{ end }}/,
    );
    assert.doesNotMatch(text, /temperature/);
  });

  for (const [what, args, message] of [
    ['a type that is not known', [example, '--type', 'q3_k'], /--type q3_k: f32, f16, bf16, .* are known/],
    [
      'a format that is not known',
      [example, '--to', 'onnx'],
      /--to onnx: gguf, adapter-gguf, safetensors, ollama, ollama-adapter are known/,
    ],
    [
      'safetensors in blocks',
      [example, '--to', 'safetensors', '--type', 'q4_0'],
      /--type q4_0: safetensors have f32, f16 and bf16/,
    ],
    ['an adapter apart, of none', [example, '--to', 'ollama-adapter'], /there is no adapter that could be/],
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

  it('goes on where it was killed, to the same bytes', async () => {
    const whole = join(folder, 'whole.gguf');
    const args = ['export', large, '--type', 'q4_k_m', '-o'];
    assert.equal((await westwind([...args, whole])).code, 0);
    const where = join(folder, 'killed');
    const out = join(where, 'model.gguf');
    mkdirSync(where);
    let last = 0;
    for (const share of [0.1, 0.4, 0.4, 0.7]) {
      const running = start([...args, out]);
      const end = share * statSync(whole).size;
      const poll = setInterval(() => {
        const name = readdirSync(where).find((file) => file.endsWith('.partial'));
        const size = (name && statSync(join(where, name), { throwIfNoEntry: false })?.size) || 0;
        if (size < end || size <= last) return;
        clearInterval(poll);
        running.signal('SIGKILL');
      }, 1);
      const { signal } = await running.ended;
      clearInterval(poll);
      // On a fast machine it may be done first.
      if (signal !== 'SIGKILL') break;
      assert.equal(existsSync(out), false);
      const [name] = readdirSync(where).filter((file) => file.endsWith('.partial'));
      const { size } = statSync(join(where, name!));
      assert.ok(size >= last / 2);
      last = size;
    }
    if (!existsSync(out)) assert.equal((await westwind([...args, out])).code, 0);
    assert.ok(readFileSync(out).equals(readFileSync(whole)));
    assert.deepEqual(readdirSync(where), ['model.gguf']);
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
