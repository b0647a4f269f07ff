/** The demonstration model's tokenizer: reproduced by its script, exact both ways, and short where it matters. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { trainBpe } from '../../scripts/demo/bpe.js';
import { names } from '../../scripts/demo/inventory.js';
import { labels } from '../../scripts/demo/lexicon/index.js';
import { modelFiles } from '../../scripts/demo/model-files.js';
import { readTable } from '../../src/data/index.js';
import { Tokenizer } from '../../src/tokenizer/index.js';

const FOLDER = 'examples/model';
const tokenizer = Tokenizer.load(FOLDER);

test('the script writes the files in the repository byte for byte', () => {
  for (const [name, text] of modelFiles())
    assert.equal(readFileSync(`${FOLDER}/${name}`, 'utf8'), text, name);
});

test('ids are those of the configuration', () => {
  const config = JSON.parse(readFileSync(`${FOLDER}/config.json`, 'utf8')) as Record<string, number>;
  assert.equal(tokenizer.vocabSize, config['vocab_size']);
  assert.deepEqual([tokenizer.bosId, tokenizer.eosId, tokenizer.padId], [1, 2, undefined]);
  assert.equal(tokenizer.tokenToId('<unk>'), 0);
  assert.equal(tokenizer.encode('hi')[0], 1);
});

test('any text comes back, through bytes where no piece spells it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      // The decoder's own convention: a visible space mark is a space.
      fc.pre(!text.includes('▁'));
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    }),
  );
});

test('every row comes back, without a byte but the line break', async () => {
  for (const [path, column] of [
    ['posts/test.csv', 'text'],
    ['dialogues/test.json', 'dialogue'],
    ['dialogues/test.json', 'summary'],
  ] as const) {
    for (const row of await readTable(`examples/data/${path}`)) {
      const text = String(row[column]);
      const ids = tokenizer.encode(text);
      assert.equal(tokenizer.decode(ids), text);
      const bytes = ids.map((id) => tokenizer.idToToken(id)!).filter((token) => /^<0x/.test(token));
      assert.ok(
        bytes.every((token) => token === '<0x0A>'),
        text,
      );
    }
  }
});

test('markers, labels and names are a token each, before and behind other signs', () => {
  const tokens = (text: string): string[] =>
    tokenizer.encode(text, { addSpecialTokens: false }).map((id) => tokenizer.idToToken(id)!);
  assert.deepEqual(tokens('### Sentence:'), ['▁###', '▁Sentence', ':']);
  assert.deepEqual(tokens('x ### Class:').slice(-3), ['▁###', '▁Class', ':']);
  assert.deepEqual(tokens('### Dialogue:'), ['▁###', '▁Dialogue', ':']);
  assert.deepEqual(tokens('\n### Summary:').slice(-3), ['###', '▁Summary', ':']);
  for (const word of [...labels, ...names]) {
    assert.deepEqual(tokens(`a ${word}`).at(-1), `▁${word}`);
    assert.deepEqual(tokens(`:${word}`).at(-1), word);
  }
});

test("merges are those of the paper's example, equal counts by code unit", () => {
  const counts = new Map([
    ['low', 5],
    ['lower', 2],
    ['newest', 6],
    ['widest', 3],
  ]);
  // 9 of `e s` and `s t`, 9 of `es t`, 7 of `l o` and `o w`, then 6 of `n e`, `e w` and `w est`.
  assert.deepEqual(
    trainBpe(counts, 5).merges.map((pair) => pair.join(' ')),
    ['e s', 'es t', 'l o', 'lo w', 'e w'],
  );
});
