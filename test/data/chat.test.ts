/** Chats in all forms: the same conversation out of each, and what is none refused by its row. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CHAT_COLUMNS,
  CHAT_FORMS,
  selectChats,
  type ChatColumn,
  type ChatFormName,
  type Conversation,
} from '../../src/data/chat/index.js';
import { readTable, type Row } from '../../src/data/index.js';

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((t) => t.trim() !== '');
const call = fc.record({
  type: fc.constant('function'),
  function: fc.record({
    name: fc.constantFrom('look', 'get_weather'),
    arguments: fc.dictionary(
      fc.constantFrom('town', 'unit', 'n'),
      fc.oneof(fc.string(), fc.integer(), fc.boolean()),
    ),
  }),
});
const plain = (role: string) => fc.record({ role: fc.constant(role), content: text });
const exchange = fc.oneof(
  fc.tuple(plain('user'), plain('assistant')),
  fc.tuple(
    plain('user'),
    fc.record({
      role: fc.constant('assistant'),
      content: fc.constant(''),
      tool_calls: fc.array(call, { minLength: 1, maxLength: 2 }),
    }),
    plain('tool'),
    plain('assistant'),
  ),
);
const tools = fc.option(fc.array(call, { minLength: 1, maxLength: 2 }), { nil: undefined });
/** Objects of plain JSON, as files hold them. */
const asRead = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const conversation = fc
  .record({
    system: fc.option(plain('system'), { nil: undefined }),
    exchanges: fc.array(exchange, { minLength: 1, maxLength: 4 }),
    tools,
  })
  .map(({ system, exchanges, tools }) =>
    asRead({ messages: [...(system ? [system] : []), ...exchanges.flat()], ...(tools && { tools }) }),
  ) as fc.Arbitrary<Conversation>;

const FROM: Readonly<Record<string, string>> = {
  user: 'human',
  assistant: 'gpt',
  system: 'system',
  tool: 'tool',
};

/** A conversation as a row of each form that can hold it. */
const ROWS: Readonly<Record<ChatFormName, (of: Conversation) => Row | undefined>> = {
  openai: ({ messages, tools }) => ({ messages, ...(tools && { tools }) }),
  sharegpt: ({ messages, tools }) => ({
    conversations: messages.map(({ role, content, tool_calls: calls }) =>
      calls
        ? {
            from: 'function_call',
            value: JSON.stringify(calls.map((one) => (one as { function: object }).function)),
          }
        : { from: FROM[role], value: content },
    ),
    ...(tools && { tools }),
  }),
  prompt_completion: ({ messages, tools }) => ({
    prompt: messages.slice(0, -1),
    completion: messages.slice(-1),
    ...(tools && { tools }),
  }),
  alpaca: ({ messages, tools }) => {
    const said = messages.filter(({ role }) => role !== 'system');
    if (said.some(({ role }, i) => role !== ['user', 'assistant'][i % 2])) return undefined;
    const pairs = said.flatMap((message, i) => (i % 2 ? [[said[i - 1]!.content, message.content]] : []));
    const [instruction, output] = pairs.at(-1)!;
    const system = messages[0]!.role === 'system' ? messages[0]!.content : '';
    return { instruction, input: '', output, system, history: pairs.slice(0, -1), ...(tools && { tools }) };
  },
};

/** Weights aside: a prompt's turns are given. */
const said = ({ messages, ...others }: Conversation): unknown =>
  asRead({ ...others, messages: messages.map((message) => ({ ...message, weight: undefined })) });

test('the same conversation comes out of every form, however its cells hold it, and the form is recognised', () => {
  fc.assert(
    fc.property(conversation, fc.boolean(), fc.boolean(), (of, inText, renamed) => {
      for (const form of CHAT_FORMS) {
        const row = ROWS[form](of);
        if (!row) continue;
        const name = (column: string): string => (renamed ? `my_${column}` : column);
        const cells = Object.entries(row).map(([column, cell]) => [
          name(column),
          inText && typeof cell !== 'string' ? JSON.stringify(cell) : cell,
        ]);
        const columns = Object.fromEntries(Object.keys(CHAT_COLUMNS).map((c) => [c, name(c)]));
        const found = selectChats([asRead(Object.fromEntries(cells) as Row)], columns, 'f');
        assert.equal(found.form, form);
        assert.deepEqual(found.leftOut, []);
        assert.deepEqual(found.conversations.map(said), [said(of)], form);
        assert.deepEqual(
          selectChats([asRead(Object.fromEntries(cells) as Row)], columns, 'f', form).conversations.map(said),
          [said(of)],
        );
      }
    }),
    { numRuns: 60 },
  );
});

const one = (
  row: Row,
  form?: ChatFormName,
  columns: Partial<Record<ChatColumn, string>> = {},
): Conversation => selectChats([row], columns, 'f.jsonl', form).conversations[0]!;
const user = { role: 'user', content: 'a' };
const answer = { role: 'assistant', content: 'b' };

test('content of parts is one text, keys that are null are missing, and what else a message has stays', () => {
  const parts = [
    { type: 'text', text: 'He' },
    { type: 'text', text: 'llo' },
  ];
  const messages = [
    { role: 'developer', content: parts, name: null, tool_calls: null },
    { ...user, name: 'Ann' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ function: { name: 'f', arguments: { a: 1, b: null } } }],
    },
    { role: 'tool', content: 'x', tool_call_id: '1' },
    { role: 'assistant', content: '4', reasoning_content: 'sum', weight: 1 },
  ];
  assert.deepEqual(one({ messages, tools: null }), {
    messages: [
      { role: 'developer', content: 'Hello' },
      { ...user, name: 'Ann' },
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] },
      { role: 'tool', content: 'x', tool_call_id: '1' },
      { role: 'assistant', content: '4', reasoning_content: 'sum', weight: 1 },
    ],
  });
  // Nulls that somebody wrote into JSON are theirs.
  const kept = one({ messages: JSON.stringify(messages) }).messages[2]!.tool_calls;
  assert.deepEqual(kept, [{ function: { name: 'f', arguments: { a: 1, b: null } } }]);
});

test('texts of a prompt and a completion are a user’s and an assistant’s, and what a prompt’s assistant says is not learnt', () => {
  assert.deepEqual(one({ prompt: 'Sky?', completion: ' Blue.' }).messages, [
    { role: 'user', content: 'Sky?' },
    { role: 'assistant', content: ' Blue.' },
  ]);
  assert.deepEqual(one({ prompt: [user, answer, user], completion: [answer] }).messages, [
    user,
    { ...answer, weight: 0 },
    user,
    answer,
  ]);
  assert.deepEqual(one({ instruction: 'Add', input: '1 2', output: '3' }).messages, [
    { role: 'user', content: 'Add\n1 2' },
    { role: 'assistant', content: '3' },
  ]);
});

test('rows of which nothing can be learnt are left out with a reason', () => {
  const rows: readonly (readonly [unknown, string | undefined])[] = [
    [[], 'they have no messages'],
    [null, 'they have no messages'],
    [[user], 'they have no assistant turn'],
    [[user, { role: 'assistant', content: ' ' }], 'their assistant turns are empty'],
    [[user, { ...answer, weight: 0 }], 'all assistant turns have weight 0'],
    [[answer], 'they answer nothing'],
    [[answer, user], undefined],
    [[user, { role: 'assistant', tool_calls: [{ function: { name: 'f' } }] }], undefined],
    [[user, { ...answer, weight: 0 }, user, answer], undefined],
  ];
  const { leftOut, indices } = selectChats(
    rows.map(([messages]) => ({ messages })),
    {},
    'f',
  );
  const why = rows.map((_, i) => leftOut.find(({ index }) => index === i)?.why);
  assert.deepEqual(
    why,
    rows.map(([, reason]) => reason),
  );
  assert.deepEqual(
    indices,
    rows.flatMap(([, reason], i) => (reason === undefined ? [i] : [])),
  );
});

test('what is no conversation is refused in one line, with its row and message', () => {
  const image = { type: 'image_url', image_url: { url: 'x' } };
  const cases: readonly (readonly [Row, RegExp, ChatFormName?])[] = [
    [
      { messages: [user, { role: 'user', content: [image] }] },
      /^f\.jsonl: row 2: the content of message 2 is neither a text nor made of parts of text, but has image_url: only text is read/,
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] },
      /row 2: the content of message 1 .*input_audio/,
    ],
    [{ messages: [{ role: 'user', content: 3 }] }, /row 2: the content of message 1 is neither/],
    [
      { messages: [user, { role: 'narrator', content: 'x' }] },
      /row 2: message 2 has the role "narrator", which is none of system, developer, user, assistant, tool$/,
    ],
    [{ messages: [{ content: 'x' }] }, /row 2: message 1 has no role/],
    [{ messages: ['x'] }, /row 2: message 1 is no object$/],
    [{ messages: 'x' }, /row 2: its messages are no list, nor one written as JSON$/],
    [{ messages: { a: 1 } }, /row 2: its messages are no list$/],
    [
      { messages: [{ ...answer, weight: 2 }] },
      /row 2: message 1 has the weight 2; it is 0 \(not trained on\) or 1$/,
    ],
    [
      { messages: [{ ...answer, tool_calls: 'f' }] },
      /row 2: message 1 has tool_calls that are no list of objects$/,
    ],
    [{ messages: [user, answer], tools: ['f'] }, /row 2: its tools are no list of objects$/],
    [
      { messages: [{ from: 'human', value: 'x' }] },
      /row 2: its messages have 'from' and 'value': say form: sharegpt/,
    ],
    [{ conversations: [user] }, /row 2: turn 1 has a role and no 'from': say form: openai/, 'sharegpt'],
    [
      { conversations: [{ from: 'narrator', value: 'x' }] },
      /row 2: turn 1 is from "narrator", which is none of human, /,
      'sharegpt',
    ],
    [{ conversations: [{ from: 'gpt', value: [image] }] }, /row 2: the content of message 1 /, 'sharegpt'],
    [
      { conversations: [{ from: 'function_call', value: 'f(x)' }] },
      /row 2: turn 1 calls a function, but is no JSON/,
      'sharegpt',
    ],
    [
      { instruction: ['x'], output: 'y' },
      /row 2: its instruction is a list, where a text is needed$/,
      'alpaca',
    ],
    [
      { instruction: 'x', output: 'y', history: ['z'] },
      /row 2: its history holds something as entry 1 that is no pair of texts$/,
      'alpaca',
    ],
    [
      { prompt: [user], completion: { a: 1 } },
      /row 2: its completion is an object, where a text is needed$/,
      'prompt_completion',
    ],
  ];
  const sound: Readonly<Record<ChatFormName, Row>> = {
    openai: { messages: [user, answer] },
    sharegpt: { conversations: [{ from: 'human', value: 'a' }] },
    alpaca: { instruction: 'x', output: 'y' },
    prompt_completion: { prompt: 'x', completion: 'y' },
  };
  for (const [row, message, form = 'openai'] of cases)
    assert.throws(() => selectChats([sound[form], row], {}, 'f.jsonl', form), { name: 'UserError', message });
});

test('a table of no form says which columns it would need, and a form that is said is held to', () => {
  assert.throws(() => one({ text: 'a' }), {
    name: 'UserError',
    message:
      "f.jsonl has the columns of no form of chats (messages, conversations, prompt and completion, instruction and output), but text; name them under 'columns'",
  });
  assert.throws(() => one({ chat: [user, answer] }, 'openai'), { message: /has no column "messages"/ });
  assert.deepEqual(one({ chat: [user, answer] }, undefined, { messages: 'chat' }).messages, [user, answer]);
  // Several forms' columns: the first of the table's.
  const both = { prompt: 'p', completion: 'c', messages: [user, answer] };
  assert.deepEqual(one(both).messages, [user, answer]);
  assert.equal(one(both, 'prompt_completion').messages[0]!.content, 'p');
});

test('of a Parquet file of messages, as datasets writes them, what other rows have is no part of a message', async () => {
  // By pyarrow 25: list<struct<role, content, tool_calls: list<struct<…>>, name, weight>>, and tools as JSON; the last rows are [] and null.
  const table = await readTable('test/golden/chat/messages.parquet');
  const { conversations, leftOut } = selectChats(table, {}, 'messages.parquet');
  assert.deepEqual(
    leftOut.map(({ index }) => index),
    [2, 3],
  );
  const { tool_calls: calls, ...others } = conversations[0]!.messages[1]!;
  assert.deepEqual(others, { role: 'assistant', content: '' });
  const called = { name: 'get_weather', arguments: { town: 'Oslo', degrees: 1.5, n: 20 } };
  assert.deepEqual(calls, [{ type: 'function', function: called }]);
  assert.deepEqual(conversations[0]!.tools, [{ type: 'function', function: { name: 'get_weather' } }]);
  assert.deepEqual(conversations[1], {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Größe 日本?' },
      { role: 'assistant', content: 'Ja.', weight: 0 },
      { role: 'user', content: 'Why?' },
      { role: 'assistant', content: 'So.', weight: 1 },
    ],
  });
});
