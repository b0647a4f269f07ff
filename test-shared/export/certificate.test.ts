/** Certificates by llama.cpp, beside those of our own reader. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { Certificate } from '../../src/experiments/store/certificate.js';
import { makeJob, makeModel, runFolder, temporaryFolder, westwind } from '../../test/cli/support.js';
import { missing } from './llama-cpp.js';

describe('a certificate by llama.cpp', { skip: missing }, () => {
  let run: string;

  before(async () => {
    const job = makeJob(await makeModel(join(temporaryFolder(), 'model')));
    const running = await westwind(['run', job.config]);
    assert.equal(running.code, 0, running.stderr);
    run = runFolder(job);
  });

  async function certified(type: string, env: NodeJS.ProcessEnv): Promise<Certificate> {
    const out = temporaryFolder();
    const args = ['export', run, '--type', type, '-o', join(out, 'model.gguf')];
    const { code, stderr } = await westwind(args, { env: { WESTWIND_LLAMA_CPP: '', ...env } });
    assert.equal(code, 0, stderr);
    return JSON.parse(readFileSync(join(out, 'certificate.json'), 'utf8')) as Certificate;
  }

  // Of quantized weights llama.cpp rounds what they are multiplied by, too.
  for (const [type, tolerance] of [
    ['f32', 1e-4],
    ['q8_0', 0.2],
  ] as const)
    it(`${type}: says what our own reader says, and that it is independent`, async (t) => {
      const theirs = await certified(type, { WESTWIND_LLAMA_CPP: process.env['WESTWIND_TEST_LLAMA_CPP'] });
      const ours = await certified(type, {});
      assert.deepEqual([theirs.reader.name, theirs.reader.independent], ['llama.cpp', true]);
      assert.deepEqual([ours.reader.name, ours.reader.independent], ['Westwind', false]);
      const figures = ({
        perplexity,
        kl_divergence,
        largest_logit_difference: largest,
        tokens,
      }: Certificate): string =>
        `perplexity ${perplexity.exported}, KL ${kl_divergence}, logits ${largest}, equal ${tokens.equal_rows}`;
      t.diagnostic(`llama.cpp: ${figures(theirs)}`);
      t.diagnostic(`ours: ${figures(ours)}`);
      // Both cut the prompts themselves.
      const alike = { equal_rows: 9, known_rows: 0 };
      assert.deepEqual([theirs.prompts, ours.prompts], [alike, alike]);
      assert.equal(theirs.perplexity.run, ours.perplexity.run);
      const [a, b] = [theirs.perplexity.exported, ours.perplexity.exported];
      assert.ok(Math.abs(Math.log(a / b)) < tolerance, `${a} ${b}`);
      assert.ok(Math.abs(theirs.largest_logit_difference - ours.largest_logit_difference) < tolerance);
      if (type === 'f32')
        assert.deepEqual([theirs.tokens, ours.tokens], [{ equal_rows: 9 }, { equal_rows: 9 }]);
      assert.deepEqual(theirs.faults, []);
    });
});
