/** Vercel's AI SDK against the server, as an application has it. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, streamText, tool } from 'ai';
import { z } from 'zod';
import { KEY, serving, type Serving } from './support.js';

let s: Serving;
before(async () => (s = await serving({ chat_template: readFileSync('examples/chat.jinja', 'utf8') })));
after(() => s.close());

const provider = () =>
  createOpenAICompatible({
    ...{ name: 'westwind', baseURL: `${s.url}/v1`, apiKey: KEY },
    ...{ supportsStructuredOutputs: true, includeUsage: true },
  });

test('text, at once and as a stream', async () => {
  const asked = { model: provider()('tuned'), prompt: 'Tea at four?', temperature: 0, maxOutputTokens: 10 };
  const { text, usage, finishReason } = await generateText(asked);
  assert.equal(finishReason, 'length');
  assert.equal(usage.outputTokens, 10);
  const stream = streamText(asked);
  let streamed = '';
  for await (const part of stream.textStream) streamed += part;
  assert.equal(streamed, text);
  assert.equal((await stream.usage).outputTokens, 10);
});

test('objects of a schema', async () => {
  const schema = z.object({ name: z.string().max(8), sizes: z.array(z.int().min(0).max(99)).max(3) });
  for (const seed of [1, 2, 3]) {
    const { object } = await generateObject({
      ...{ model: provider()('base'), schema, prompt: 'A lamp', temperature: 1, seed, maxOutputTokens: 200 },
    });
    assert.deepEqual(schema.parse(object), object);
  }
});

test('tools are offered, and what is no call is said', async () => {
  const { text, toolCalls } = await generateText({
    ...{ model: provider()('base'), prompt: 'Tea?', temperature: 0, maxOutputTokens: 8 },
    tools: { lookUp: tool({ description: 'Looks up.', inputSchema: z.object({ what: z.string() }) }) },
  });
  assert.ok(text.length > 0);
  assert.deepEqual(toolCalls, []);
});
