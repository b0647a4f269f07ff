/** The certificate of `westwind export`, as its users start it. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { tinyT5 } from '../support/tiny.js';
import type { Certificate } from '../../src/experiments/store/certificate.js';
import {
  makeJob,
  makeModel,
  runFolder,
  temporaryFolder,
  westwind,
  type JobFiles,
  type Outcome,
} from './support.js';

const folder = temporaryFolder();
let job: JobFiles;
let run: string;

/** A folder with a node-llama-cpp that ends its process as soon as it is asked for anything. */
function crashing(): string {
  const own = join(folder, 'node_modules/node-llama-cpp');
  mkdirSync(own, { recursive: true });
  const about = { name: 'node-llama-cpp', version: '3.0.0', type: 'module', exports: './index.js' };
  writeFileSync(join(own, 'package.json'), JSON.stringify(about));
  writeFileSync(join(own, 'index.js'), 'export const getLlama = () => process.abort();');
  return folder;
}

before(async () => {
  const model = await makeModel(join(temporaryFolder(), 'model'));
  job = makeJob(model, { 'max_steps: 40': 'max_steps: 8', 'baselines: [zero_shot]': 'baselines: []' });
  const running = await westwind(['run', job.config]);
  assert.equal(running.code, 0, running.stderr);
  run = runFolder(job);
});

const certificateIn = (of: string): Certificate =>
  JSON.parse(readFileSync(join(of, 'certificate.json'), 'utf8')) as Certificate;

function exported(out: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return westwind(['export', run, '--force', '-o', out, ...args], { env });
}

const SHORT = { 'max_steps: 40': 'max_steps: 4', 'baselines: [zero_shot]': 'baselines: []' };
const LORA = 'lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}';

describe('certificates', () => {
  for (const [what, changes, args, family] of [
    [
      'a model that was trained whole, labels by likelihood',
      { [LORA]: 'lora: false', 'scoring: both': 'scoring: likelihood' },
      ['--type', 'f32'],
    ],
    ['a folder for Ollama', {}, ['--to', 'ollama', '--type', 'f16']],
    [
      'a model with an encoder, answers drawn',
      { '{batch_size: 4}': '{do_sample: true}' },
      ['--to', 'safetensors'],
      tinyT5(),
    ],
    [
      'a model with an encoder in GGUF',
      {},
      ['--type', 'f32'],
      tinyT5({ relative_attention_max_distance: 128, feed_forward_proj: 'relu', tie_word_embeddings: true }),
    ],
  ] as const)
    it(`of ${what}`, async () => {
      const model = await makeModel(join(temporaryFolder(), 'model'), family);
      const own = makeJob(model, { ...SHORT, ...changes });
      const running = await westwind(['run', own.config]);
      assert.equal(running.code, 0, running.stderr);
      const out = join(temporaryFolder(), 'out');
      const { code, stderr } = await westwind(['export', runFolder(own), ...args, '-o', out]);
      assert.equal(code, 0, stderr);
      const inside = existsSync(join(out, 'certificate.json'));
      assert.equal(inside, args[0] === '--to');
      const certificate = certificateIn(inside ? out : dirname(out));
      assert.ok(certificate.kl_divergence < 1e-4 && certificate.kl_divergence >= 0);
      assert.equal(certificate.certified_rows, 9);
      assert.equal(certificate.notes.length, what.endsWith('drawn') ? 1 : 0);
      assert.deepEqual(certificate.prompts, { equal_rows: 9, known_rows: 0 });
      assert.deepEqual(certificate.faults, []);
    });
});

describe('westwind export', () => {
  it('runs what it exported of a run again, shows how it did, and keeps the certificate', async () => {
    const out = temporaryFolder();
    const { code, stdout, stderr } = await exported(join(out, 'model.gguf'), [
      '--type',
      'f32',
      '--certificate-rows',
      '6',
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^wrote .*model\.gguf: .*\n\n\| subjects +\| +as tested \| +exported, F32 \|\n/);
    assert.match(stdout, /\| accuracy +\| +\d+\.\d\d \[/);
    assert.match(stdout, /6 of 9 test rows; .* read by Westwind \(.*\), which wrote the file itself/);
    assert.match(stdout, /wrote .*certificate\.json\n$/);
    const certificate = certificateIn(out);
    assert.equal(certificate.file.name, 'model.gguf');
    assert.equal(certificate.certified_rows, 6);
    assert.equal(certificate.tokens.equal_rows, 6);
    assert.ok(certificate.largest_logit_difference < 1e-3);
    assert.equal(existsSync(join(run, 'subjects/certificate-gguf-f32.json')), true);
    const adapter = await westwind([
      'export',
      join(run, 'subjects/adapter'),
      '--type',
      'f32',
      '-o',
      join(out, 'b.gguf'),
    ]);
    assert.equal(adapter.code, 0, adapter.stderr);
    assert.equal(certificateIn(out).file.name, 'b.gguf');
  });

  it('makes none where that is asked for, and leaves none of an earlier file', async () => {
    const out = temporaryFolder();
    const path = join(out, 'b.gguf');
    writeFileSync(
      join(out, 'certificate.json'),
      readFileSync(join(run, 'subjects/certificate-gguf-f32.json')),
    );
    assert.equal((await exported(path, ['--no-certificate'])).code, 0);
    assert.equal(existsSync(join(out, 'certificate.json')), false);
  });

  it('keeps the file where its reader dies, says so, and fails by --strict alone', async () => {
    const out = temporaryFolder();
    const path = join(out, 'model.gguf');
    const env = { WESTWIND_LLAMA_CPP: crashing() };
    const { code, stderr } = await exported(path, [], env);
    assert.equal(code, 0);
    assert.match(
      stderr,
      /WARNING: .* it has no certificate: llama\.cpp cannot run .*: its process was ended by SIGABRT/,
    );
    assert.equal(existsSync(path), true);
    assert.equal((await exported(path, ['--strict'], env)).code, 1);
  });

  it('says in a line why there is none', async () => {
    const out = temporaryFolder();
    const alone = await exported(join(out, 'adapter.gguf'), ['--to', 'adapter-gguf']);
    assert.match(alone.stderr, /no certificate: an adapter alone/);
    const model = await westwind(['export', join(job.folder, '..'), '-o', join(out, 'x.gguf')]);
    assert.equal(model.code, 2);
  });

  it('refuses before it exports what cannot be certified any more, with a way out', async () => {
    const out = join(temporaryFolder(), 'model.gguf');
    const test = join(job.folder, 'test.csv');
    const rows = readFileSync(test);
    rmSync(test);
    const { code, stderr } = await exported(out);
    writeFileSync(test, rows);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^westwind: no certificate can be made: .*test\.csv.* \(--no-certificate exports without one\)\n$/,
    );
    assert.equal(existsSync(out), false);
  });

  it('does not write over another thing of that name', async () => {
    const out = temporaryFolder();
    writeFileSync(join(out, 'certificate.json'), '{"mine": true}');
    const { code, stderr } = await exported(join(out, 'model.gguf'));
    assert.equal(code, 2);
    assert.match(stderr, /certificate\.json/);
    assert.equal(readFileSync(join(out, 'certificate.json'), 'utf8'), '{"mine": true}');
  });
});
