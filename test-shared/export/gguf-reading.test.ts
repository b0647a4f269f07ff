/** Files that were exported, or that llama.cpp's own quantizer made, read back: texts of real data, real tokenizers, real blocks. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import type { Backend } from '../../src/backends/contract.js';
import { exportGguf, FILE_TYPES } from '../../src/export/gguf/index.js';
import { GgufFile } from '../../src/files/index.js';
import { resolveModel } from '../../src/import/resolve.js';
import { loadModel, randomModel } from '../../src/models/load.js';
import { openWeights } from '../../src/models/gguf-weights.js';
import { saveModel } from '../../src/models/save.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { backend, tinyConfig, tinyT5 } from '../../test/support/tiny.js';
import { temporaryFolder } from '../../test/cli/support.js';
import { missing, quantizer } from './llama-cpp.js';

const shared = resolve(process.env['WESTWIND_SHARED'] ?? '../shared');
const folder = temporaryFolder();
process.env['WESTWIND_CACHE'] = join(folder, 'cache');

let be: Backend;
before(async () => {
  be = await backend('cpu');
});

/** Paragraphs of real data. */
function realTexts(): string[] {
  const rows = JSON.parse(readFileSync(join(shared, 'data/samsum/test.json'), 'utf8')) as unknown[];
  const dialogues = rows.map((row) => (row as { dialogue: string }).dialogue);
  const news = readFileSync(join(shared, 'data/20newsgroups/test.csv'), 'utf8').split('\n\n');
  return [...dialogues, ...news.slice(0, 1000)];
}

describe('the tokens of a tokenizer that was exported and is read back', () => {
  const texts = realTexts();
  for (const name of ['llama2', 'mistral-7b-v0.1', 'falcon-7b-instruct', 'redpajama-incite-7b', 't5-base'])
    it(name, async (t) => {
      const from = join(shared, 'tokenizers', name);
      const tokenizer = Tokenizer.load(from);
      const path = join(folder, name);
      mkdirSync(path);
      const config =
        name === 't5-base'
          ? tinyT5({ vocab_size: 32128, d_model: 16, relative_attention_max_distance: 128 })
          : tinyConfig({ model_type: 'llama', vocab_size: tokenizer.vocabSize, hidden_size: 16 });
      const random = await randomModel(be, config, { dtype: 'bf16' });
      await saveModel(random, path, { force: true, dtype: 'BF16' });
      random.dispose();
      for (const file of readdirSync(from).filter((f) => /token/.test(f)))
        copyFileSync(join(from, file), join(path, file));
      const out = `${path}.gguf`;
      await exportGguf(be, { base: { name, folder: path }, type: 'BF16', out });
      const back = Tokenizer.load(await resolveModel(out));
      // GGUF says not that Mistral's Metaspace gives a text that begins with a space no other.
      const asked = name.startsWith('mistral') ? texts.filter((text) => !text.startsWith(' ')) : texts;
      const ids = await tokenizer.encodeBatch(asked);
      const own = await back.encodeBatch(asked);
      const unequal = asked.filter((_, i) => String(ids[i]) !== String(own[i]));
      t.diagnostic(`${unequal.length} of ${asked.length} texts differ: ${JSON.stringify(unequal[0])}`);
      assert.equal(unequal.length, 0);
      for (const id of ['bosId', 'eosId', 'unkId', 'padId'] as const) assert.equal(back[id], tokenizer[id]);
    });
});

describe("what llama.cpp's quantizer made is read", { skip: missing }, () => {
  it('every type: names, and values that are finite', async () => {
    const base = resolve('examples/model');
    const plain = join(folder, 'plain.gguf');
    await exportGguf(be, { base: { name: base, folder: base }, type: 'F32', out: plain });
    const names = [...openWeights(base).names].sort();
    const quantize = quantizer();
    for (const [type, { id }] of Object.entries(FILE_TYPES)) {
      if (type === 'F32') continue;
      const out = join(folder, `theirs-${type}.gguf`);
      quantize(plain, out, id);
      const path = await resolveModel(out);
      const weights = openWeights(path);
      assert.deepEqual([...weights.names].sort(), names);
      weights.close();
      (await loadModel(be, path)).dispose();
    }
  });

  it('Q2_K and IQ4_NL are refused by name', async () => {
    const base = resolve('examples/model');
    const plain = join(folder, 'wide.gguf');
    await exportGguf(be, { base: { name: base, folder: base }, type: 'F32', out: plain });
    for (const [id, name] of [
      [10, 'Q2_K|Q3_K|IQ4_NL'],
      [25, 'IQ4_NL'],
    ] as const) {
      const out = join(folder, `type-${id}.gguf`);
      quantizer()(plain, out, id);
      assert.throws(
        () => GgufFile.open(out),
        new RegExp(`is of type (${name}), which is not read: take a file of F32, F16, `),
      );
    }
  });
});
