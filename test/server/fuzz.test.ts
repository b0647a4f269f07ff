/** Bodies of any kind get an answer that is OpenAI's or an error that is; none ends the server or is left waiting. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { KEY, serving, type Serving } from './support.js';

/** Ten thousand by WESTWIND_BODIES. */
const BODIES = Number(process.env['WESTWIND_BODIES'] ?? 150);

let s: Serving;
before(async () => {
  // One that has a place for tools.
  s = await serving({ max_num_seqs: 8, chat_template: readFileSync('examples/chat.jinja', 'utf8') });
});
after(() => s.close());

const any = fc.jsonValue({ maxDepth: 3 });
const maybe = (good: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 40, arbitrary: good }, any);
const role = fc.constantFrom('user', 'assistant', 'system', 'tool', 'developer', 'king');
const message = fc.record(
  { role, content: maybe(fc.string()), tool_calls: maybe(fc.constant([])) },
  { requiredKeys: ['role'] },
);

const parameters = { type: 'object', properties: { people: { type: 'integer' } }, required: ['people'] };
const tool = { type: 'function', function: { name: 'book', parameters } };

const body = fc.record(
  {
    model: maybe(fc.constantFrom('base', 'tuned')),
    messages: maybe(fc.array(message, { minLength: 1, maxLength: 3 })),
    prompt: maybe(fc.oneof(fc.string(), fc.array(fc.nat(2100), { minLength: 1, maxLength: 4 }))),
    max_tokens: maybe(fc.integer({ min: -1, max: 6 })),
    temperature: maybe(fc.double({ min: 0, max: 2, noNaN: true })),
    top_p: maybe(fc.double({ min: 0, max: 1, noNaN: true })),
    top_k: maybe(fc.integer({ min: -1, max: 30 })),
    n: maybe(fc.integer({ min: 1, max: 3 })),
    stop: maybe(fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }))),
    stream: maybe(fc.boolean()),
    seed: maybe(fc.integer()),
    logprobs: maybe(fc.oneof(fc.boolean(), fc.nat(3))),
    logit_bias: maybe(
      fc.dictionary(fc.nat(4000).map(String), fc.double({ min: -100, max: 100, noNaN: true }), {
        maxKeys: 3,
      }),
    ),
    frequency_penalty: maybe(fc.double({ min: -2, max: 2, noNaN: true })),
    response_format: maybe(fc.constantFrom({ type: 'text' }, { type: 'json_object' })),
    tools: maybe(fc.constantFrom([], [tool], [tool, { type: 'function', function: { name: 'wait' } }])),
    tool_choice: maybe(
      fc.constantFrom('none', 'auto', 'required', { type: 'function', function: { name: 'book' } }),
    ),
    parallel_tool_calls: maybe(fc.boolean()),
  },
  { requiredKeys: ['model'] },
);

test('generated bodies', async () => {
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('chat/completions', 'completions'),
      fc.oneof(
        { weight: 12, arbitrary: body.map((one) => JSON.stringify({ max_tokens: 4, ...one })) },
        fc.string(),
      ),
      async (path, text) => {
        const reply = await fetch(`${s.url}/v1/${path}`, {
          ...{ method: 'POST', body: text, headers: { authorization: `Bearer ${KEY}` } },
          signal: AbortSignal.timeout(30_000),
        });
        statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
        const got = await reply.text();
        if (reply.headers.get('content-type')?.startsWith('text/event-stream')) {
          assert.ok(got.endsWith('data: [DONE]\n\n'), got.slice(-300));
          return;
        }
        const { error, choices } = JSON.parse(got) as {
          error?: { message: string; type: string };
          choices?: unknown[];
        };
        if (reply.status === 200) assert.ok(choices!.length > 0);
        else {
          assert.ok([400, 404].includes(reply.status), `${reply.status}: ${got}`);
          assert.ok(error!.message.length > 0 && !error!.message.includes('\n'), got);
        }
      },
    ),
    { numRuns: BODIES },
  );
  assert.deepEqual(s.faults, []);
  assert.ok((statuses.get(200) ?? 0) > BODIES / 20, JSON.stringify([...statuses]));
  assert.deepEqual(s.engine.load, { running: 0, waiting: 0 });
});
