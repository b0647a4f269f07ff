/** Calls of tools are read out of what models write, however it comes in pieces; all else stays text. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ToolCallReader, toolFormOf, type ReadCalls } from '../../src/server/tool-calls.js';

const TEMPLATES = {
  hermes: 'for each call <tool_call>{"name": …}</tool_call>',
  mistral: '[TOOL_CALLS] [{"name": …',
  llama3: '<|python_tag|> {"name": …, "parameters": …}',
};

type Name = keyof typeof TEMPLATES;

/** What is told while the text comes in pieces, and at its end. */
function read(form: Name, text: string, cuts: readonly number[]): ReadCalls {
  const reader = new ToolCallReader(toolFormOf(TEMPLATES[form])!);
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  let [said, from] = ['', 0];
  for (const to of [...places, text.length]) {
    said += reader.push(text.slice(from, to));
    from = to;
  }
  const { content, calls } = reader.end();
  return { content: said + content, calls };
}

const call = fc.record({
  name: fc.constantFrom('look_up', 'add', 'trains'),
  given: fc.dictionary(fc.string({ maxLength: 4 }), fc.oneof(fc.string({ maxLength: 9 }), fc.integer()), {
    maxKeys: 3,
  }),
});
const cuts = fc.array(fc.nat(500), { maxLength: 20 });

const WRITTEN: Readonly<Record<Name, (calls: readonly { name: string; given: object }[]) => string>> = {
  hermes: (calls) =>
    calls
      .map(({ name, given }) => `<tool_call>\n${JSON.stringify({ name, arguments: given })}\n</tool_call>`)
      .join('\n'),
  mistral: (calls) => ` ${JSON.stringify(calls.map(({ name, given }) => ({ name, arguments: given })))}`,
  llama3: (calls) => calls.map(({ name, given }) => JSON.stringify({ name, parameters: given })).join('; '),
};

for (const form of Object.keys(TEMPLATES) as Name[])
  describe(form, () => {
    test('calls are read, whatever the pieces', () => {
      fc.assert(
        fc.property(fc.array(call, { minLength: 1, maxLength: 3 }), cuts, (calls, places) => {
          const { content, calls: found } = read(form, WRITTEN[form](calls), places);
          assert.equal(content.trim(), '');
          assert.deepEqual(
            found.map(({ name, arguments: given }) => ({ name, given: JSON.parse(given) as unknown })),
            calls.map(({ name, given }) => ({ name, given: JSON.parse(JSON.stringify(given)) as unknown })),
          );
        }),
      );
    });

    test('what is no call is said to the letter', () => {
      fc.assert(
        fc.property(
          fc.oneof(
            fc.string(),
            fc.constantFrom('<tool_call>{"name"', '[1, 2]', '{"a": 1}', 'a <tool', '{', '['),
          ),
          cuts,
          (text, places) => {
            assert.deepEqual(read(form, text, places), { content: text, calls: [] });
          },
        ),
      );
    });
  });

test('what is said before a call is told at once', () => {
  const reader = new ToolCallReader(toolFormOf(TEMPLATES.hermes)!);
  assert.equal(reader.push('Let me look. <to'), 'Let me look. ');
  assert.equal(reader.push('ol_call>{"name": "look_up"}</tool_call>'), '');
  assert.deepEqual(reader.end(), { content: '', calls: [{ name: 'look_up', arguments: '{}' }] });
});

test('a template that teaches no form has none', () => {
  assert.equal(toolFormOf("{{ messages[0]['content'] }}"), undefined);
});
