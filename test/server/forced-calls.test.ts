/** Calls that have to come: by the official clients, in each form that templates teach, of tools drawn at random. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText, tool, type ToolSet } from 'ai';
import { Ajv2020 } from 'ajv/dist/2020.js';
import OpenAI from 'openai';
import { z } from 'zod';
import { KEY, serving, type Serving } from './support.js';

const TURNS = '{% for m in messages %}### {{ m.role }}: {{ m.content }}\n{% endfor %}### assistant: ';

/** Templates that teach a form, or none; by the words that tell which. */
const TEMPLATES = {
  hermes: `{# <tool_call> #}${TURNS}`,
  mistral: `{# [TOOL_CALLS] #}${TURNS}`,
  llama3: `{# python_tag #}${TURNS}`,
  none: TURNS,
};

const TOOLS = [
  {
    type: 'function' as const,
    function: {
      name: 'book',
      parameters: {
        type: 'object',
        properties: {
          people: { type: 'integer', minimum: 1, maximum: 9 },
          // References are to where the tool's own schema begins.
          at: { $ref: '#/$defs/time' },
        },
        required: ['people', 'at'],
        additionalProperties: false,
        $defs: { time: { type: 'string', pattern: '^\\d{2}:\\d{2}$' } },
      },
    },
  },
  {
    type: 'function' as const,
    function: {
      name: 'tell',
      parameters: {
        type: 'object',
        properties: { kind: { enum: ['news', 'weather'] }, next: { $ref: '#/$defs/more' } },
        required: ['kind'],
        additionalProperties: false,
        $defs: { more: { type: 'boolean' } },
      },
    },
  },
  { type: 'function' as const, function: { name: 'wait' } },
];

/** Clients call a seed deprecated, and it is what draws can be had again by. */
const seeded = (seed: number): object => ({ seed });

const NOTHING = { type: 'object', additionalProperties: false };
const judges = new Map(
  TOOLS.map(({ function: { name, ...rest } }) => {
    const schema = 'parameters' in rest ? rest.parameters : NOTHING;
    return [name, new Ajv2020({ strict: false }).compile(schema)] as const;
  }),
);

function isCall(call: { readonly name: string; readonly arguments: string }): void {
  const judge = judges.get(call.name);
  assert.ok(judge?.(JSON.parse(call.arguments)), `${call.name} ${call.arguments}`);
}

for (const [form, template] of Object.entries(TEMPLATES))
  describe(form, () => {
    let s: Serving;
    before(async () => (s = await serving({ chat_template: template, max_num_seqs: 8 })));
    after(async () => {
      await s.close();
      assert.deepEqual(s.faults, []);
    });

    const ask = (seed: number, more: object) =>
      s.client.chat.completions.create({
        ...{ model: seed % 2 ? 'base' : 'tuned', messages: [{ role: 'user', content: 'Tea?' }] },
        ...{ tools: TOOLS, temperature: 1, max_completion_tokens: 150, ...seeded(seed) },
        ...more,
      } as OpenAI.ChatCompletionCreateParamsNonStreaming);

    test('an answer is a call, of any of the tools or of the one that is named', async () => {
      const asked = Array.from({ length: 12 }, async (_, seed) => {
        const name = seed % 3 === 0 ? TOOLS[(seed / 3) % 3]!.function.name : undefined;
        const tool_choice = name === undefined ? 'required' : { type: 'function', function: { name } };
        const { choices } = await ask(seed, { tool_choice, parallel_tool_calls: seed % 2 === 0 });
        const { message, finish_reason } = choices[0]!;
        assert.equal(finish_reason, 'tool_calls', JSON.stringify(message));
        assert.equal(message.content, null);
        const [call, ...others] = message.tool_calls! as OpenAI.ChatCompletionMessageFunctionToolCall[];
        assert.equal(others.length, 0);
        isCall(call!.function);
        if (name !== undefined) assert.equal(call!.function.name, name);
        return call!.function.name;
      });
      assert.ok(new Set(await Promise.all(asked)).size > 1);
    });

    test('streams tell it at once, and nothing beside it', async () => {
      const stream = s.client.chat.completions.stream({
        ...{ model: 'base', messages: [{ role: 'user', content: 'Tea?' }], tools: TOOLS },
        ...{ tool_choice: 'required', temperature: 1, ...seeded(5), max_completion_tokens: 150 },
      });
      const { choices } = await stream.finalChatCompletion();
      assert.ok(!choices[0]!.message.content);
      isCall((choices[0]!.message.tool_calls![0] as OpenAI.ChatCompletionMessageFunctionToolCall).function);
    });

    test('one that is cut off is no call', async () => {
      const { choices } = await ask(1, { tool_choice: 'required', max_completion_tokens: 3 });
      assert.equal(choices[0]!.finish_reason, 'length');
      assert.equal(choices[0]!.message.tool_calls, undefined);
    });
  });

describe('through the AI SDK', () => {
  let s: Serving;
  before(async () => (s = await serving({ chat_template: TEMPLATES.hermes })));
  after(() => s.close());

  const tools = {
    book: tool({ description: 'Books.', inputSchema: z.object({ people: z.int().min(1).max(9) }) }),
    tell: tool({ description: 'Tells.', inputSchema: z.object({ what: z.enum(['news', 'weather']) }) }),
  };
  const asked = () => ({
    model: createOpenAICompatible({ name: 'westwind', baseURL: `${s.url}/v1`, apiKey: KEY })('base'),
    ...{ prompt: 'Tea?', temperature: 1, maxOutputTokens: 100, tools: tools as unknown as ToolSet },
  });

  test('required, and a tool by its name', async () => {
    const any = await generateText({ ...asked(), toolChoice: 'required' });
    assert.equal(any.toolCalls.length, 1);
    assert.equal(any.finishReason, 'tool-calls');
    const one = await generateText({ ...asked(), toolChoice: { type: 'tool', toolName: 'tell' } });
    assert.ok(['news', 'weather'].includes((one.toolCalls[0]!.input as { what: string }).what));
    const stream = streamText({ ...asked(), toolChoice: { type: 'tool', toolName: 'book' } });
    const [call] = await stream.toolCalls;
    assert.equal(call!.toolName, 'book');
  });
});

describe('what cannot be called is refused with its field', () => {
  let s: Serving;
  before(async () => (s = await serving({ chat_template: TEMPLATES.hermes })));
  after(() => s.close());

  for (const [what, more, message] of [
    ['no tools', { tool_choice: 'required' }, /tool_choice "required" goes with tools/],
    ['none of them', { tool_choice: 'required', tools: [] }, /tool_choice "required" goes with tools/],
    [
      'a tool that is not there',
      { tool_choice: { type: 'function', function: { name: 'sing' } }, tools: TOOLS },
      /tool_choice names 'sing', which is none of the tools/,
    ],
    [
      'arguments that cannot be held to',
      {
        tool_choice: 'required',
        tools: [{ type: 'function', function: { name: 'x', parameters: { oneOf: [] } } }],
      },
      /cannot be held to: .*oneOf is not supported/,
    ],
  ] as const)
    test(what, async () => {
      const asking = s.client.chat.completions.create({
        ...{ model: 'base', messages: [{ role: 'user', content: 'Tea?' }] },
        ...more,
      } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming);
      await assert.rejects(asking, (error: unknown) => {
        assert.ok(error instanceof OpenAI.BadRequestError, String(error));
        assert.match(error.message, message);
        return true;
      });
    });
});
