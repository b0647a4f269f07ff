/** The tokenizer of the small Llama in test/golden/stories260K, and what becomes of damaged files. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { UserError } from '../../src/util/errors.js';

const golden = 'test/golden/stories260K';
const tokenizer = Tokenizer.load(golden);
const { greedy_ids_from_bos: ids, text } = JSON.parse(
  readFileSync(join(golden, 'reference_greedy.json'), 'utf8'),
) as { greedy_ids_from_bos: number[]; text: string };

function streamed(of: readonly number[]): string {
  const stream = tokenizer.stream();
  return of.map((id) => stream.push(id)).join('') + stream.end();
}

describe('Tokenizer', () => {
  it('gives the reference text and its ids', () => {
    assert.equal(tokenizer.decode(ids), text);
    assert.deepEqual(tokenizer.encode(text), ids);
    assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), ids.slice(1));
    assert.ok(tokenizer.decode(ids, { skipSpecialTokens: false }).startsWith('<s>'));
  });

  it('knows its special tokens and its size', () => {
    const { bosId, eosId, padId, unkId, vocabSize } = tokenizer;
    assert.deepEqual(
      { bosId, eosId, padId, unkId, vocabSize },
      { bosId: 1, eosId: 2, padId: undefined, unkId: 0, vocabSize: 512 },
    );
    assert.equal(tokenizer.tokenToId('</s>'), 2);
    assert.equal(tokenizer.idToToken(2), '</s>');
    assert.equal(tokenizer.idToToken(512), undefined);
  });

  it('gives every text back, at once and token by token', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (s) => {
        // A text that is all special tokens is skipped on purpose.
        fc.pre(!/<\/?s>|<unk>|\ufffd|\ufeff/.test(s));
        const encoded = tokenizer.encode(s);
        assert.equal(tokenizer.decode(encoded), s.replaceAll('▁', ' '));
        assert.equal(streamed(encoded), tokenizer.decode(encoded));
      }),
      { numRuns: 500 },
    );
  });

  it('streams arbitrary ids to what decoding all at once gives, prepared or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 520 }), { maxLength: 12 }), { maxLength: 4 }),
        async (parts) => {
          const whole = tokenizer.decode(parts.flat());
          assert.equal(streamed(parts.flat()), whole);
          const stream = tokenizer.stream();
          let text = '';
          for (const part of parts) {
            await stream.prepare(part);
            for (const id of part) text += stream.push(id);
          }
          assert.equal(text + stream.end(), whole);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('holds back a character until its last byte, and bytes until they are sure to be a text', () => {
    const parts = (isText: boolean): string[] => {
      const stream = tokenizer.stream({ isText });
      const all = tokenizer.encode('a日b').map((id) => stream.push(id));
      return all.filter((part) => part !== '');
    };
    assert.deepEqual(parts(true), ['a', '日', 'b']);
    assert.deepEqual(parts(false), ['a', '日b']);
  });

  it('decodes nothing, and ids beyond the vocabulary, to nothing', () => {
    assert.equal(tokenizer.decode([]), '');
    assert.equal(tokenizer.decode([100000]), '');
  });
});

describe('Tokenizer.load', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  beforeEach(() => cpSync(golden, folder, { recursive: true }));
  after(() => rmSync(folder, { recursive: true }));

  const write = (name: string, content: unknown): void =>
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  const refuses = (what: RegExp): void =>
    assert.throws(
      () => Tokenizer.load(folder),
      (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, what);
        assert.ok(!error.message.includes('\n'));
        return true;
      },
    );

  it('says what is wrong with a damaged tokenizer.json', () => {
    const whole = readFileSync(join(golden, 'tokenizer.json'), 'utf8');
    const json = JSON.parse(whole) as { model: Record<string, unknown>; added_tokens: unknown[] };
    for (const broken of [
      whole.slice(0, 5000),
      '',
      '[]',
      'null',
      {},
      { ...json, model: null },
      { ...json, model: { ...json.model, vocab: {} } },
      { ...json, model: { ...json.model, merges: 7 } },
      { ...json, model: { ...json.model, vocab: { a: 4e9 } } },
      { ...json, model: { ...json.model, vocab: { a: 'b' } } },
      { ...json, normalizer: { type: 'Nonsense' } },
      { ...json, added_tokens: [{ id: -1, content: 'x' }] },
    ]) {
      write('tokenizer.json', broken);
      refuses(/tokenizer\.json/);
    }
    rmSync(join(folder, 'tokenizer.json'));
    refuses(/tokenizer\.json: there is no such file/);
  });

  it('survives cuts anywhere in tokenizer.json', () => {
    const whole = readFileSync(join(golden, 'tokenizer.json'), 'utf8');
    for (let length = 0; length < whole.length - 1; length += 97) {
      write('tokenizer.json', whole.slice(0, length));
      refuses(/not valid JSON/);
    }
  });

  it('reads special tokens as strings, as objects, and from special_tokens_map.json', () => {
    write('tokenizer_config.json', { bos_token: { content: '<s>' }, pad_token: null });
    write('special_tokens_map.json', { eos_token: '</s>', pad_token: { content: '<unk>' } });
    const { bosId, eosId, padId, unkId } = Tokenizer.load(folder);
    assert.deepEqual([bosId, eosId, padId, unkId], [1, 2, 0, undefined]);
    write('tokenizer_config.json', { bos_token: 7 });
    refuses(/bos_token/);
  });

  it('lays out a conversation by the template that counts', () => {
    const hello = [{ role: 'user', content: 'hello' }];
    rmSync(join(folder, 'special_tokens_map.json'), { force: true });
    assert.throws(() => tokenizer.applyChatTemplate(hello), /no chat template/);

    const config = { bos_token: '<s>', eos_token: '</s>' };
    const lines =
      '{{ bos_token }}{% for m in messages %}\n{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}';
    write('tokenizer_config.json', { ...config, chat_template: lines });
    assert.equal(Tokenizer.load(folder).applyChatTemplate(hello), '<s>user: hello</s>\n');

    const named = [
      { name: 'tool', template: 'no' },
      { name: 'default', template: '{{ messages[0].content }}{% if add_generation_prompt %}>{% endif %}' },
    ];
    write('tokenizer_config.json', { ...config, chat_template: named });
    assert.equal(Tokenizer.load(folder).applyChatTemplate(hello, { addGenerationPrompt: true }), 'hello>');

    write('chat_template.jinja', "{{ raise_exception('only poems') }}");
    assert.throws(
      () => Tokenizer.load(folder).applyChatTemplate(hello),
      /refuses these messages: only poems/,
    );
    write('chat_template.jinja', '{% if %}');
    refuses(/chat template cannot be parsed/);
  });
});
