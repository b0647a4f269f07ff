/** From spans to tokens: letters of several tokens, tokens across a border, and what a tokenizer leaves out of its offsets. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { CHATML, Tokenizer, trainedTokens } from '../../../src/tokenizer/index.js';
import { UserError } from '../../../src/util/errors.js';
import { byteTokenizer } from '../../support/tokenizers.js';

type Span = Parameters<typeof trainedTokens>[1][number];
const span = (start: number, end: number, turn: readonly [number, number] = [start, end]): Span => ({
  message: 1,
  start,
  end,
  turn: { start: turn[0], end: turn[1] },
});

/** The trained tokens' texts. */
function trained(text: string, spans: readonly Span[], offsets: readonly [number, number][]): string[] {
  const flags = trainedTokens(text, spans, offsets);
  return offsets.flatMap(([from, to], i) => (flags[i] === 1 ? [text.slice(from, to)] : []));
}

const everyLetter = (text: string): [number, number][] => Array.from(text, (_, i) => [i, i + 1]);

describe('tokens that are trained on', () => {
  it('are those of the spans, first to last', () => {
    assert.deepEqual(trained('abcdefg', [span(1, 3), span(5, 7)], everyLetter('abcdefg')), [
      'b',
      'c',
      'f',
      'g',
    ]);
    assert.deepEqual(trained('abc', [], everyLetter('abc')), []);
  });

  it('are all of a letter', () => {
    const offsets: [number, number][] = [
      [0, 1],
      ...Array.from({ length: 4 }, (): [number, number] => [1, 3]),
      [3, 4],
    ];
    assert.deepEqual(trained('a🙂b', [span(1, 3)], offsets), ['🙂', '🙂', '🙂', '🙂']);
  });

  it('may have of their own turn what the template wrote', () => {
    const text = 'u:x\na:\n\nok.';
    const turn = [4, 11] as const;
    assert.deepEqual(
      trained(
        text,
        [span(7, 11, turn)],
        [
          [0, 4],
          [4, 6],
          [6, 8],
          [8, 11],
        ],
      ),
      ['\n\n', 'ok.'],
    );
    // A token of the template's that took in white space is not what the answer says.
    assert.deepEqual(
      trained(
        text,
        [span(7, 11, turn)],
        [
          [0, 4],
          [4, 8],
          [8, 11],
        ],
      ),
      ['ok.'],
    );
  });

  it('have nothing of others', () => {
    const text = 'a: ok.u: hm';
    const fails = (offsets: [number, number][]): void =>
      assert.throws(
        () => trainedTokens(text, [span(3, 6, [0, 6])], offsets),
        (error) =>
          error instanceof UserError &&
          /^the tokenizer makes one token of "\.u", of which message 2 has only "\."; give a template/.test(
            error.message,
          ),
      );
    fails([
      [0, 3],
      [3, 5],
      [5, 7],
      [7, 11],
    ]);
    // A special token that is put around the text has no place in it.
    assert.deepEqual(
      trained(
        text,
        [span(0, 6)],
        [
          [0, 0],
          [0, 6],
          [6, 11],
        ],
      ),
      ['a: ok.'],
    );
  });

  it('begin with the white space that offsets leave out', () => {
    // "  " and " ok", without the space of either.
    const text = 'a:   ok.';
    const kept = trained(
      text,
      [span(2, 8, [0, 8])],
      [
        [0, 2],
        [4, 4],
        [5, 7],
        [7, 8],
      ],
    );
    assert.deepEqual(kept, ['', 'ok', '.']);
    // With a letter of another message before it.
    assert.throws(
      () =>
        trained(
          'x ok',
          [span(2, 4)],
          [
            [0, 1],
            [2, 4],
          ],
        ),
      UserError,
    );
  });
});

/** The rule by itself, token by token. */
function oneByOne(
  text: string,
  spans: readonly Span[],
  offsets: readonly (readonly [number, number])[],
): number[] {
  let read = 0;
  return offsets.map(([begins, to]) => {
    const from = Math.min(begins, read);
    read = to;
    const own = spans.find(({ end }) => end > from);
    if (!own || to <= own.start) return 0;
    const has = Array.from({ length: to - from }, (_, i) => from + i);
    const isIn = (at: number): boolean => own.start <= at && at < own.end;
    const [within, around] = [has.filter(isIn), has.filter((at) => !isIn(at))];
    const isBlank = (of: number[]): boolean => of.every((at) => text[at]!.trim() === '');
    if (isBlank(within) && !isBlank(around)) return 0;
    if (around.every((at) => own.turn.start <= at && at < own.turn.end)) return 1;
    throw new UserError('of others');
  });
}

describe('tokens that are trained on, by the places about borders', () => {
  const letters = fc.array(fc.constantFrom('a', ' ', '\n', '🙂', 'é'), { minLength: 1, maxLength: 40 });
  /** Tokens in order, some of no letter of their own or of the same, some without their white space; spans, some with a turn around them. */
  const cases = letters.chain((parts) => {
    const text = parts.join('');
    const cut = fc
      .uniqueArray(fc.nat(text.length), { maxLength: 12 })
      .map((all) => all.sort((a, b) => a - b));
    const tokens = fc.tuple(cut, fc.array(fc.nat(3), { minLength: 60, maxLength: 60 }));
    const borders = fc.tuple(cut, fc.nat(2), fc.nat(2));
    return fc.record({ text: fc.constant(text), tokens, borders });
  });

  it('are those that the rule says', () => {
    fc.assert(
      fc.property(cases, ({ text, tokens: [cuts, kinds], borders: [marks, before, behind] }) => {
        const ends = [...cuts.filter((cut) => cut > 0), text.length];
        const offsets = ends.flatMap((to, i): [number, number][] => {
          const from = ends[i - 1] ?? 0;
          if (from === to) return [];
          const blank = text.slice(from, to).length - text.slice(from, to).trimStart().length;
          const own: [number, number] = [kinds[i] === 1 ? from + blank : from, to];
          return kinds[i] === 2 ? [own, own, own] : [own];
        });
        const spans = marks.flatMap((start, i) => {
          const end = marks[i + 1];
          if (i % 2 === 1 || end === undefined) return [];
          return [span(start, end, [start - before, Math.min(text.length, end + behind)])];
        });
        const attempt = <R>(work: () => R): R | 'refused' => {
          try {
            return work();
          } catch (error) {
            assert.ok(error instanceof UserError);
            return 'refused';
          }
        };
        assert.deepEqual(
          attempt(() => Array.from(trainedTokens(text, spans, offsets))),
          attempt(() => oneByOne(text, spans, offsets)),
        );
      }),
      { numRuns: 5000 },
    );
  });
});

describe('Tokenizer.renderChat', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-chat-'));
  after(() => rmSync(folder, { recursive: true }));
  const load = (template?: string): Tokenizer => {
    const special = ['<s>', '</s>', '<|im_start|>', '<|im_end|>'];
    const tokenizer = byteTokenizer([['\n', '\n']], special);
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
    const config = { bos_token: '<s>', eos_token: '</s>', add_bos_token: true, chat_template: template };
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
    return Tokenizer.load(folder);
  };
  const messages = [
    { role: 'user', content: 'Größe 🙂?' },
    { role: 'assistant', content: 'ß🙂' },
  ];
  const TEMPLATE = `{{ bos_token }}{% for m in messages %}{{ '[' + m.role + ']' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}`;

  it('takes the model’s template, or one in its place', () => {
    const tokenizer = load(TEMPLATE);
    const chat = tokenizer.renderChat(messages);
    assert.equal(chat.text, '<s>[user]Größe 🙂?</s>[assistant]ß🙂</s>');
    assert.deepEqual(
      chat.spans.map(({ message, start, end }) => [message, chat.text.slice(start, end)]),
      [[1, 'ß🙂</s>']],
    );
    const other = tokenizer.renderChat(messages, { template: CHATML, addGenerationPrompt: true });
    assert.ok(other.text.endsWith('<|im_start|>assistant\nß🙂<|im_end|>\n<|im_start|>assistant\n'));
    assert.throws(
      () => tokenizer.renderChat(messages, { template: '{% for %}' }),
      (error) =>
        error instanceof UserError &&
        /^chat_template, line 1: the chat template cannot be parsed/.test(error.message),
    );
  });

  it('writes ChatML for a model without a template', () => {
    const tokenizer = load();
    assert.equal(tokenizer.hasChatTemplate, false);
    assert.equal(
      tokenizer.renderChat(messages).text,
      '<|im_start|>user\nGröße 🙂?<|im_end|>\n<|im_start|>assistant\nß🙂<|im_end|>\n',
    );
  });

  it('has tokens that say the spans, each letter whole, and one beginning', () => {
    const tokenizer = load(TEMPLATE);
    const { ids, trained } = tokenizer.encodeChat(tokenizer.renderChat(messages));
    const said = ids.filter((_, i) => trained[i] === 1);
    assert.equal(said.length, 2 + 4 + 1);
    assert.equal(tokenizer.decode(said, { skipSpecialTokens: false }), 'ß🙂</s>');
    assert.equal(ids.filter((id) => id === tokenizer.bosId).length, 1);
  });
});
