/** All golden texts: the same ids as the Rust library, the same text back as transformers, at once and token by token. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Tokenizer } from '../../src/tokenizer/index.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';
const names = readdirSync(join(shared, 'golden/text')).flatMap(
  (f) => /^tokenizer-(.+)\.json$/.exec(f)?.[1] ?? [],
);

describe('golden texts', () => {
  assert.equal(names.length, 5);
  for (const name of names) {
    it(name, () => {
      const tokenizer = Tokenizer.load(join(shared, 'tokenizers', name));
      const cases = JSON.parse(
        readFileSync(join(shared, 'golden/text', `tokenizer-${name}.json`), 'utf8'),
      ) as {
        text: string;
        ids: number[];
        decoded: string;
      }[];
      assert.equal(cases.length, 150);
      for (const { text, ids, decoded } of cases) {
        assert.deepEqual(tokenizer.encode(text), ids);
        assert.equal(tokenizer.decode(ids), decoded);
        const stream = tokenizer.stream();
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

describe('chat template of real models', () => {
  it('mistral refuses roles that do not alternate', () => {
    const tokenizer = Tokenizer.load(join(shared, 'tokenizers/mistral-7b-v0.1'));
    const turn = { role: 'user', content: 'hi' };
    assert.equal(tokenizer.applyChatTemplate([turn]), '<s> [INST] hi [/INST]');
    assert.throws(() => tokenizer.applyChatTemplate([turn, turn]), /alternate/);
  });
});
