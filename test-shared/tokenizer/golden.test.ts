/** All golden texts: the same ids as the Rust library, the same text back as transformers, at once and token by token. */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { compareWithLibrary, rust } from '../../test/support/library.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';
const names = readdirSync(join(shared, 'golden/text')).flatMap(
  (f) => /^tokenizer-(.+)\.json$/.exec(f)?.[1] ?? [],
);

describe('golden texts', () => {
  assert.equal(names.length, 5);
  for (const name of names) {
    it(name, async () => {
      const tokenizer = Tokenizer.load(join(shared, 'tokenizers', name));
      const cases = JSON.parse(
        readFileSync(join(shared, 'golden/text', `tokenizer-${name}.json`), 'utf8'),
      ) as {
        text: string;
        ids: number[];
        decoded: string;
      }[];
      assert.equal(cases.length, 150);
      for (const [i, { text, ids, decoded }] of cases.entries()) {
        assert.deepEqual(tokenizer.encode(text), ids);
        assert.equal(tokenizer.decode(ids), decoded);
        const stream = tokenizer.stream();
        if (i % 10 > 0) await stream.prepare(ids);
        assert.equal(ids.map((id) => stream.push(id)).join('') + stream.end(), decoded);
      }
    });
  }
});

describe('special tokens of real tokenizers', () => {
  const load = (name: string): Tokenizer => Tokenizer.load(join(shared, 'tokenizers', name));
  const ids = ({ bosId, eosId, padId, unkId }: Tokenizer): unknown[] => [bosId, eosId, padId, unkId];

  it('come from either file, as strings or objects', () => {
    assert.deepEqual(ids(load('llama2')), [1, 2, 2, 0]);
    assert.deepEqual(ids(load('mistral-7b-v0.1')), [1, 2, undefined, 0]);
    assert.deepEqual(ids(load('falcon-7b-instruct')), [undefined, 11, undefined, undefined]);
    assert.deepEqual(ids(load('t5-base')), [undefined, 1, 0, 2]);
    assert.deepEqual(ids(load('redpajama-incite-7b')), [0, 0, undefined, 0]);
  });

  it('count to the vocabulary', () => {
    assert.equal(load('llama2').vocabSize, 32000);
    assert.equal(load('t5-base').vocabSize, 32100);
  });
});

describe('chat templates of real models, against Jinja2', () => {
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'How many?' },
    { role: 'assistant', content: 'Two.' },
    { role: 'user', content: ' Why? ' },
  ];
  const render = (folder: string): string =>
    Tokenizer.load(folder).applyChatTemplate(messages, { addGenerationPrompt: true });

  it('mistral', () => {
    assert.equal(
      render(join(shared, 'tokenizers/mistral-7b-v0.1')),
      '<s> [INST] Be brief.\n\nHow many? [/INST] Two.</s> [INST]  Why?  [/INST]',
    );
  });

  it('llama2', () => {
    assert.equal(
      render(join(shared, 'tokenizers/llama2')),
      '<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHow many? [/INST] Two. </s><s>[INST] Why? [/INST]',
    );
  });

  it('zephyr, from chat_template.jinja beside the tokenizer', () => {
    const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
    try {
      cpSync(join(shared, 'tokenizers/mistral-7b-v0.1'), folder, { recursive: true });
      copyFileSync(
        join(shared, 'tokenizers/zephyr-chat_template.jinja'),
        join(folder, 'chat_template.jinja'),
      );
      assert.equal(
        render(folder),
        '<|system|>\nBe brief.</s>\n<|user|>\nHow many?</s>\n<|assistant|>\nTwo.</s>\n<|user|>\n Why? </s>\n<|assistant|>\n',
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('generated texts have ids and offsets of the Rust library', () => {
  const count = Number(process.env['WESTWIND_TEST_TEXTS'] ?? 400);
  for (const name of names) {
    it(name, async () => {
      const folder = join(shared, 'tokenizers', name);
      const library = rust.Tokenizer.fromFile(join(folder, 'tokenizer.json'));
      library.disableTruncation();
      library.disablePadding();
      await compareWithLibrary([{ name, tokenizer: Tokenizer.load(folder), library }], count);
    });
  }
});
