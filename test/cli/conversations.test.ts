import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { conversationsOf } from '../../src/cli/conversations.js';
import { UserError } from '../../src/util/errors.js';

const message = fc.record(
  {
    role: fc.constantFrom('system', 'user', 'assistant', 'tool', 'constructor'),
    content: fc.string({ unit: 'grapheme' }),
    name: fc.string(),
  },
  { requiredKeys: ['role', 'content'] },
);
const chat = fc.array(message, { minLength: 1, maxLength: 4 });
const chats = fc.array(chat, { minLength: 1, maxLength: 4 });

test('conversations are the same in every form that holds them', () => {
  fc.assert(
    fc.property(chats, fc.constantFrom('\n', '\r\n', '\n\n'), fc.boolean(), (of, end, wanted) => {
      // A record of fast-check's has no prototype.
      const given = JSON.parse(JSON.stringify(of)) as unknown[];
      const wrapped = given.map((messages) => ({ id: 1, messages }));
      const lines = (list: readonly unknown[]): string =>
        list.map((one) => JSON.stringify(one) + end).join('');
      const forms = [JSON.stringify(given), JSON.stringify(wrapped, null, 2), lines(given), lines(wrapped)];
      if (given.length === 1) forms.push(JSON.stringify(given[0], null, 1), JSON.stringify(wrapped[0]));
      for (const form of forms) assert.deepEqual(conversationsOf(form, 'c', wanted), given, form);
    }),
  );
});

test('content may be in parts of text, or be missing, as beside a call of a tool', () => {
  const parts = [
    { type: 'text', text: 'Hello ' },
    { type: 'text', text: 'there' },
  ];
  const call = { role: 'assistant', content: null, tool_calls: [{ id: 'a' }] };
  const text = JSON.stringify([{ role: 'user', content: parts }, call]);
  assert.deepEqual(conversationsOf(text, 'c'), [[{ role: 'user', content: 'Hello there' }, call]]);
});

test('prompts are prompts', () => {
  for (const text of [
    'Hello',
    'Hello\nthere',
    '["a", "b"]',
    '[b] is a letter',
    '42',
    'null',
    '',
    '{"a": 1}',
  ]) {
    assert.equal(conversationsOf(text, 'c'), undefined, text);
    if (text !== '{"a": 1}') assert.equal(conversationsOf(text, 'c', true), undefined, text);
  }
});

test('what is meant for a conversation and is none is refused in one line, with its place', () => {
  const user = '{"role": "user", "content": "a"}';
  const cases: readonly (readonly [string, RegExp])[] = [
    ['{"messages": []}', /^c is no conversation: it has no messages$/],
    ['{"messages": 3}', /^c is no conversation: it is no array of messages/],
    [`[${user}, {"content": "b"}]`, /^c is no conversation: message 2 has no role/],
    [`[${user}, {"role": "", "content": "b"}]`, /message 2 has no role/],
    [`[${user}, 3]`, /message 2 is no object/],
    [`[${user}, {"role": "user", "content": 3}]`, /the content of message 2 is neither a text nor/],
    ['[{"role": "user", "content": [{"type": "image_url"}]}]', /the content of message 1 is neither/],
    [`[[${user}], [${user}, null]]`, /^c: conversation 2 is no conversation: message 2 is no object$/],
    [`[${user}]\n\n{"messages": [{}]}`, /^c: line 3 is no conversation: message 1 has no role/],
    [`[${user}]\nHello`, /^c: line 2 is not JSON/],
  ];
  for (const [text, why] of cases)
    assert.throws(() => conversationsOf(text, 'c'), { name: 'UserError', message: why });
  // Where a chat is asked for, ShareGPT's form is meant for one, too.
  const others = [
    '{"conversations": [{"from": "human", "value": "a"}]}',
    '[{"from": "human", "value": "a"}]',
  ];
  for (const text of [...others, others.join('\n')]) {
    assert.equal(conversationsOf(text, 'c'), undefined);
    assert.throws(() => conversationsOf(text, 'c', true), {
      name: 'UserError',
      message: /is no conversation: /,
    });
  }
});

test('any JSON is conversations, prompts, or refused in one line', () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.array(fc.oneof(message, fc.jsonValue({ maxDepth: 2 }))),
  );
  fc.assert(
    fc.property(value, fc.boolean(), fc.boolean(), (one, wanted, wrapped) => {
      try {
        const found = conversationsOf(JSON.stringify(wrapped ? { messages: one } : one), 'c', wanted);
        for (const messages of found ?? [])
          for (const { role, content } of messages as { role: string; content?: unknown }[]) {
            assert.notEqual(role, '');
            assert.ok(content == null || typeof content === 'string');
          }
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, /^c[^\n]+$/);
      }
    }),
  );
});
