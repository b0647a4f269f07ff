/** OpenAI's own client against the server: what it is promised, it gets. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { alone, serving, type Serving } from './support.js';

let s: Serving;
before(async () => (s = await serving({ updatesAdapters: true })));
after(async () => {
  await s.close();
  assert.deepEqual(s.faults, []);
});

const DIALOGUE = '### Dialogue:Ann: Tea at four? Ben: Yes! ### Summary:';
const HELLO = [{ role: 'user' as const, content: 'Tea at four?' }];

describe('completions', () => {
  test('are the greedy answers that each prompt gets alone, of the base and of an adapter', async () => {
    for (const model of ['base', 'tuned']) {
      const prompts = [DIALOGUE, 'Ann:', 'Ben: My lamp'];
      const reply = await s.client.completions.create({
        model,
        prompt: prompts,
        max_tokens: 12,
        temperature: 0,
      });
      const wanted: string[] = [];
      for (const prompt of prompts) wanted.push(await alone(s, s.tokenizer.encode(prompt), 12, model));
      assert.deepEqual(
        reply.choices.map(({ text }) => text),
        wanted,
      );
      const tokens = prompts.reduce((n, prompt) => n + s.tokenizer.encode(prompt).length, 0);
      assert.equal(reply.usage!.prompt_tokens, tokens);
      assert.equal(reply.usage!.total_tokens, tokens + reply.usage!.completion_tokens);
    }
  });

  test('take ids, and the same seed gives the same draws, alone and beside others', async () => {
    const ids = s.tokenizer.encode(DIALOGUE);
    const ask = (seed: number, more: object = {}) =>
      s.client.completions
        .create({ model: 'base', prompt: ids, max_tokens: 12, seed, n: 3, ...more })
        .then(({ choices }) => choices.map(({ text }) => text));
    const first = await ask(5);
    assert.equal(new Set(first).size, 3);
    const [again, ...others] = await Promise.all([
      ask(5),
      ask(6),
      ask(5, { top_p: 0.5 }),
      ask(-5),
      ask(5, { temperature: 0.4 }),
    ]);
    assert.deepEqual(again, first);
    for (const other of others) assert.notDeepEqual(other, first);
  });

  test('stream what they answer, with log-probabilities that add up', async () => {
    const asked = { model: 'base', prompt: DIALOGUE, max_tokens: 12, temperature: 0, logprobs: 3 } as const;
    const whole = await s.client.completions.create(asked);
    let text = '';
    const tokens: string[] = [];
    for await (const { choices } of await s.client.completions.create({ ...asked, stream: true })) {
      text += choices[0]!.text;
      tokens.push(...(choices[0]!.logprobs?.tokens ?? []));
    }
    const [choice] = whole.choices;
    assert.equal(text, choice!.text);
    assert.deepEqual(tokens, choice!.logprobs!.tokens);
    for (const [i, top] of choice!.logprobs!.top_logprobs!.entries()) {
      const chosen = choice!.logprobs!.token_logprobs![i]!;
      // Greedy: the likeliest.
      assert.equal(Math.max(...Object.values(top)), chosen);
      assert.ok(Object.values(top).reduce((sum, x) => sum + Math.exp(x), 0) <= 1 + 1e-6);
    }
  });

  test('end before a stop text, of which nothing is told', async () => {
    const asked = { model: 'base', prompt: DIALOGUE, max_tokens: 40, temperature: 0 };
    const whole = (await s.client.completions.create(asked)).choices[0]!.text;
    const stop = whole.slice(10, 14);
    const cut = (await s.client.completions.create({ ...asked, stop: ['never that', stop] })).choices[0]!;
    assert.equal(cut.text, whole.slice(0, whole.indexOf(stop)));
    assert.equal(cut.finish_reason, 'stop');
    let text = '';
    for await (const { choices } of await s.client.completions.create({ ...asked, stop, stream: true }))
      text += choices[0]!.text;
    assert.equal(text, cut.text);
  });

  test('are changed by biases and penalties', async () => {
    const asked = { model: 'base', prompt: DIALOGUE, max_tokens: 10, temperature: 0 };
    const free = (await s.client.completions.create(asked)).choices[0]!.text;
    const [first] = s.tokenizer.encode(free, { addSpecialTokens: false });
    const only = await s.client.completions.create({ ...asked, logit_bias: { [first!]: 100 } });
    assert.equal(
      new Set(s.tokenizer.encode(only.choices[0]!.text.trim(), { addSpecialTokens: false })).size <= 2,
      true,
    );
    const repeats = (text: string): number => {
      const ids = s.tokenizer.encode(text, { addSpecialTokens: false });
      return ids.length - new Set(ids).size;
    };
    const long = { ...asked, max_tokens: 60 };
    const plain = (await s.client.completions.create(long)).choices[0]!.text;
    const penal = (await s.client.completions.create({ ...long, frequency_penalty: 2, presence_penalty: 2 }))
      .choices[0]!.text;
    assert.ok(repeats(penal) < repeats(plain), `${repeats(penal)} and ${repeats(plain)}`);
  });
});

describe('chats', () => {
  test('are laid out by the template and end where a turn ends; streamed they are the same', async () => {
    const asked = { model: 'base', messages: HELLO, max_completion_tokens: 12, temperature: 0 };
    const whole = await s.client.chat.completions.create(asked);
    const { prompts } = s.engine.find('base');
    assert.equal(whole.choices[0]!.message.content, await alone(s, await prompts.idsOf(HELLO), 12));
    const stream = await s.client.chat.completions.create({
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    });
    let [text, finish, usage]: [string, string | null, number | undefined] = ['', null, undefined];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    assert.deepEqual([text, finish, usage], [whole.choices[0]!.message.content, 'length', 12]);
  });

  test('tell log-probabilities in the chat’s form', async () => {
    const { choices } = await s.client.chat.completions.create({
      ...{
        model: 'tuned',
        messages: HELLO,
        max_completion_tokens: 5,
        logprobs: true,
        top_logprobs: 2,
        temperature: 0,
      },
    });
    const content = choices[0]!.logprobs!.content!;
    assert.equal(content.length, 5);
    for (const { token, logprob, bytes, top_logprobs } of content) {
      assert.equal(Buffer.from(bytes!).toString(), token);
      assert.equal(top_logprobs.length, 2);
      assert.equal(top_logprobs[0]!.logprob, logprob);
    }
  });

  test('a client that goes away frees its place at once', async () => {
    const gone = new AbortController();
    const asked = { model: 'base', messages: HELLO, max_completion_tokens: 200, logit_bias: { '2': -100 } };
    const stream = await s.client.chat.completions.create(
      { ...asked, stream: true },
      { signal: gone.signal },
    );
    await stream[Symbol.asyncIterator]().next();
    gone.abort();
    const waiting = s.client.chat.completions.create(asked, { signal: AbortSignal.timeout(50) });
    await assert.rejects(waiting);
    for (let i = 0; i < 100 && s.engine.load.running > 0; i++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(s.engine.load.running, 0);
  });
});

describe('what is wrong', () => {
  const fails = async (body: object, status: number, message: RegExp): Promise<void> => {
    await assert.rejects(
      s.client.chat.completions.create({ model: 'base', messages: HELLO, ...body } as never),
      (error: unknown) => {
        assert.ok(error instanceof OpenAI.APIError, String(error));
        assert.equal(error.status, status);
        assert.match(error.message, message);
        return true;
      },
    );
  };

  test('is told with its field', async () => {
    await fails({ model: 'other' }, 404, /there is no model 'other': base, tuned/);
    await fails({ messages: [] }, 400, /messages/);
    await fails(
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      400,
      /only text is read/,
    );
    await fails({ messages: [{ content: 'x' }] }, 400, /message 1 has no role/);
    await fails({ temperature: 3 }, 400, /temperature/);
    await fails({ max_tokens: 1000 }, 400, /room for 256/);
    await fails({ n: 500 }, 400, /n:/);
    await fails({ logit_bias: { x: 1 } }, 400, /logit_bias/);
    await fails({ tool_choice: 'required', tools: [] }, 400, /tool_choice/);
    await fails({ n: 100 }, 429, /ask again later/);
  });

  test('keys, addresses and bodies', async () => {
    const wrong = new OpenAI({ baseURL: `${s.url}/v1`, apiKey: 'sk-other', maxRetries: 0 });
    await assert.rejects(wrong.models.list(), (error) => error instanceof OpenAI.AuthenticationError);
    const post = (path: string, body: string) =>
      fetch(`${s.url}${path}`, { method: 'POST', body, headers: { authorization: 'Bearer sk-test' } });
    assert.equal((await post('/v1/nothing', '{}')).status, 404);
    const notJson = await post('/v1/chat/completions', '{"model":');
    assert.equal(notJson.status, 400);
    assert.match(((await notJson.json()) as { error: { message: string } }).error.message, /not JSON/);
    assert.equal((await post('/v1/chat/completions', 'x'.repeat(2 << 20))).status, 413);
    assert.equal((await fetch(`${s.url}/health`)).status, 200);
    assert.equal((await fetch(`${s.url}/metrics`)).status, 401);
  });
});

test('adapters come and go while answers are made', async () => {
  const names = async (): Promise<string[]> => (await s.client.models.list()).data.map(({ id }) => id);
  assert.deepEqual(await names(), ['base', 'tuned']);
  const post = (path: string, body: object) =>
    fetch(`${s.url}/v1/${path}`, {
      ...{ method: 'POST', body: JSON.stringify(body), headers: { authorization: 'Bearer sk-test' } },
    });
  assert.equal((await post('load_lora_adapter', { lora_name: 'more', lora_path: s.adapter })).status, 200);
  assert.deepEqual(await names(), ['base', 'tuned', 'more']);
  assert.equal((await s.client.models.retrieve('more')).id, 'more');
  const asked = { messages: HELLO, max_completion_tokens: 30, temperature: 0 };
  const answer = s.client.chat.completions.create({ model: 'more', ...asked });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await post('unload_lora_adapter', { lora_name: 'more' })).status, 200);
  const same = await s.client.chat.completions.create({ model: 'tuned', ...asked });
  const done = await answer.catch((error: unknown) => error as Error);
  if (!(done instanceof Error)) assert.deepEqual(done.choices[0]!.message, same.choices[0]!.message);
  else assert.match(done.message, /there is no model 'more'/);
  assert.deepEqual(await names(), ['base', 'tuned']);
  for (const [body, status] of [
    [{ lora_name: 'tuned', lora_path: s.adapter }, 400],
    [{ lora_name: 'new', lora_path: '/nowhere' }, 400],
    [{ lora_name: 'new' }, 400],
  ] as const)
    assert.equal((await post('load_lora_adapter', body)).status, status);
  assert.equal((await post('unload_lora_adapter', { lora_name: 'base' })).status, 400);
});

test('Prometheus is told of requests and tokens', async () => {
  const text = await (
    await fetch(`${s.url}/metrics`, { headers: { authorization: 'Bearer sk-test' } })
  ).text();
  for (const name of [
    'requests_total{endpoint="/v1/chat/completions",status="200"}',
    'generation_tokens_total',
    'answers_running',
  ])
    assert.match(text, new RegExp(`^westwind_${name.replace(/[{}]/g, '\\$&')} \\d+`, 'm'));
});
