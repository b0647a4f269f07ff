/** A session answers each request as it is answered alone, whatever else is asked, when, and however that ends. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLora, type LoraAdapter, type LoraSource } from '../../src/adapters/lora.js';
import type { Backend } from '../../src/backends/contract.js';
import { generate } from '../../src/generate/generate.js';
import type { SamplingOptions } from '../../src/generate/sampler.js';
import { Session, type Answer, type Request } from '../../src/generate/session.js';
import type { CausalLM } from '../../src/models/model.js';
import { Tensor } from '../../src/tensor/tensor.js';
import { backend, familyConfig, LORA, randomIds, tinyModel, tinyT5, VOCAB } from '../support/tiny.js';

const GREEDY: SamplingOptions = { do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 0 };
const SAMPLINGS: readonly SamplingOptions[] = [
  GREEDY,
  { ...GREEDY, do_sample: true, temperature: 0.9, seed: 3 },
  { ...GREEDY, do_sample: true, temperature: 0.7, top_p: 0.9, top_k: 12, seed: 4 },
];
/** Long enough that it is copied from slot to slot. */
const PREFIX = [...randomIds(34, 9)];
const ROOM = { longest: 60, newTokens: 12 };

/** An adapter whose answers are far from the base's; `tables`: that brings an embedding and a head, too. */
function strange(model: CausalLM, seed: number, tables = false): LoraAdapter {
  const numbers = (n: number, stream: number): Float32Array =>
    Float32Array.from(randomIds(n, 1000 * seed + stream), (id) => (id / VOCAB - 0.5) / 4);
  let stream = 0;
  const source: LoraSource = (_module, _tensor, shape) =>
    numbers(
      shape.reduce((a, b) => a * b, 1),
      stream++,
    );
  const hidden = model.config.hidden_size;
  const table = (): Tensor => Tensor.from(model.backend, numbers(VOCAB * hidden, stream++), [VOCAB, hidden]);
  return createLora(model, LORA, {
    source,
    ...(tables && { tables: { embedding: table(), head: table(), ensure_weight_tying: false } }),
  });
}

async function alone(model: CausalLM, { sampling, index, ids, ...request }: Request): Promise<Answer> {
  const { adapter, max_new_tokens, stopTokens } = request;
  const options = { ...sampling, adapter, max_new_tokens, stopTokens, batch_size: 1 };
  for await (const answer of generate(model, [{ index, ids }], options)) return answer;
  throw new Error('no answer');
}

/** Counts the rows of all passes from now on. */
function countRows(model: CausalLM): { rows: number } {
  const run = { rows: 0 };
  const pass = model.pass.bind(model);
  Object.assign(model, {
    pass(...[g, call]: Parameters<CausalLM['pass']>) {
      run.rows += call.ids.shape[0]!;
      return pass(g, call);
    },
  });
  return run;
}

/** Waits for turns: passes of the backend's, which has an upload for each, or of the event loop's, of which a quick pass takes none. */
function turnsOf(be: Backend): { readonly be: Backend; readonly turns: (n: number) => Promise<void> } {
  const waiting = new Set<() => void>();
  return {
    be: {
      ...be,
      upload(...to) {
        be.upload(...to);
        for (const turn of waiting) turn();
      },
    },
    async turns(n) {
      let left = n;
      await new Promise<void>((resolve) => {
        const turn = (): void => {
          if (left-- <= 0) resolve();
        };
        waiting.add(turn);
        const loop = (): void => {
          turn();
          if (left >= 0) setImmediate(loop);
          else waiting.delete(turn);
        };
        loop();
      });
    },
  };
}

const drawn = fc.record({
  length: fc.integer({ min: 1, max: 25 }),
  shares: fc.boolean(),
  adapter: fc.nat(3),
  sampling: fc.nat(2),
  max_new_tokens: fc.integer({ min: 1, max: 12 }),
  stops: fc.boolean(),
  looks: fc.boolean(),
  arrives: fc.nat(12),
  // After so many of its tokens, or so many turns.
  cancelled: fc.option(fc.record({ tokens: fc.nat(8), turns: fc.nat(30) }), { freq: 3 }),
});

/** What of a GPU decides how passes are made up. */
const AS_GPU = { runsAhead: true, batchInvariant: false };

for (const [type, like] of [
  ['mistral', {}],
  ['mistral', AS_GPU],
  ['gemma3_text', {}],
  ['falcon', {}],
  ['t5', {}],
  ['t5', AS_GPU],
] as const)
  test(`${type}${like === AS_GPU ? ' by turns' : ''}: answers are those that each request gets alone, whenever it arrives and the others end`, async () => {
    const { be, turns } = turnsOf({ ...(await backend()), ...like });
    const empty = be.memory().held;
    const config = type === 't5' ? tinyT5() : familyConfig(type);
    const model = await tinyModel(be, { quantization: { doubleQuant: true } }, config);
    // Tables of a tied embedding or of an encoder's are another matter.
    const tables = type === 'mistral' || type === 'falcon';
    const adapters = [null, strange(model, 1), strange(model, 2), strange(model, 3, tables)];
    // Makes the tables of places, which the model keeps.
    await alone(model, {
      ...{ index: 0, ids: PREFIX, max_new_tokens: 1, stopTokens: [], sampling: GREEDY, adapter: null },
    });
    const { held } = be.memory();
    await fc.assert(
      fc.asyncProperty(
        fc.array(drawn, { minLength: 2, maxLength: 9 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(
          {},
          { prefix: PREFIX },
          { keeps: true },
          { turns: { prompts: 3, answers: 1 } },
          { keeps: true, turns: { prompts: 7, answers: 2 } },
        ),
        async (all, slots, shared) => {
          const requests = all.map(({ length, shares, max_new_tokens, ...own }, index): Request => {
            const ids = [...(shares ? PREFIX : []), ...randomIds(length, 40 + index)];
            const stopTokens = own.stops ? [7, 30, 51] : [];
            const [adapter, sampling] = [adapters[own.adapter], SAMPLINGS[own.sampling]!];
            return { index, ids, max_new_tokens, stopTokens, adapter, sampling };
          });
          const answers: Answer[] = [];
          for (const request of requests) answers.push(await alone(model, request));
          const session = new Session(model, { slots, ...ROOM, ...shared });
          await Promise.all(
            all.map(async ({ cancelled, arrives, looks }, i) => {
              const [request, wanted] = [requests[i]!, answers[i]!];
              await turns(arrives);
              const stop = new AbortController();
              const told: number[] = [];
              const answer = session.submit({
                ...request,
                ...(cancelled && { signal: stop.signal }),
                ...(looks && { onLogits: (logits) => assert.ok(logits.every(Number.isFinite)) }),
                onToken(token) {
                  told.push(token);
                  if (told.length === cancelled?.tokens) stop.abort();
                },
              });
              if (cancelled) void turns(cancelled.turns).then(() => stop.abort());
              try {
                assert.deepEqual(await answer, wanted);
                assert.deepEqual(told, wanted.tokens);
              } catch (error) {
                if (!(cancelled && error instanceof Error && error.name === 'AbortError')) throw error;
                assert.deepEqual(told, wanted.tokens.slice(0, told.length));
              }
            }),
          );
          await session.close();
          assert.equal(be.memory().held, held);
        },
      ),
      { numRuns: 20 },
    );
    for (const adapter of adapters) adapter?.dispose();
    model.dispose();
    assert.equal(be.memory().held, empty);
  });

test('one that is cancelled gives its slot to the next at once, and one that waits does not wait for it', async () => {
  const model = await tinyModel(await backend());
  const session = new Session(model, { slots: 1, longest: 8, newTokens: 4000 });
  const stop = new AbortController();
  const ask = (index: number, more: Partial<Request> = {}): Promise<Answer> =>
    session.submit({ index, ids: [5, 6], max_new_tokens: 3, stopTokens: [], sampling: GREEDY, ...more });
  const endless = ask(0, { max_new_tokens: 4000, signal: stop.signal, onToken: () => stop.abort() });
  const waits = ask(1);
  const gone = new AbortController();
  const never = ask(2, { signal: gone.signal });
  gone.abort();
  await Promise.all([endless, never].map((one) => assert.rejects(one, { name: 'AbortError' })));
  assert.equal((await waits).tokens.length, 3);
  await session.close();
  model.dispose();
});

test('what is refused, what onToken throws and what a closed session has left touch no other request', async () => {
  const be = await backend();
  const empty = be.memory().held;
  const model = await tinyModel(be);
  const session = new Session(model, { slots: 2, longest: 8, newTokens: 4 });
  const ask = (index: number, more: Partial<Request> = {}): Promise<Answer> =>
    session.submit({ index, ids: [5, 6, 7], max_new_tokens: 4, stopTokens: [], sampling: GREEDY, ...more });
  const good = ask(0);
  await assert.rejects(ask(1, { ids: [] }), /prompt 1 holds no token/);
  await assert.rejects(ask(1, { ids: [VOCAB] }), /the model's vocabulary has 96/);
  await assert.rejects(ask(1, { max_new_tokens: 10 }), /prompt 1 has 3 tokens and wants up to 10 new ones/);
  await assert.rejects(ask(1, { sampling: { ...GREEDY, do_sample: true, top_p: 0 } }), RangeError);
  await assert.rejects(ask(1, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  const fault = new Error('full');
  await assert.rejects(
    ask(2, {
      onToken() {
        throw fault;
      },
    }),
    (error) => error === fault,
  );
  assert.equal((await good).tokens.length, 4);
  const left = [ask(3), ask(4), ask(5)].map((answer) =>
    assert.rejects(answer, { name: 'AbortError', message: 'the session was closed' }),
  );
  await session.close();
  await Promise.all(left);
  await assert.rejects(ask(6), /the session was closed/);
  model.dispose();
  assert.equal(be.memory().held, empty);
});

test('an adapter that is not asked for any more is let go when enough others are', async () => {
  const be = await backend();
  const model = await tinyModel(be);
  const session = new Session(model, { slots: 2, longest: 8, newTokens: 4 });
  const ask = (adapter: LoraAdapter): Promise<Answer> =>
    session.submit({ index: 0, ids: [5, 6], max_new_tokens: 4, stopTokens: [], sampling: GREEDY, adapter });
  let most = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const adapter = strange(model, seed);
    const wanted = await alone(model, {
      ...{ index: 0, ids: [5, 6], max_new_tokens: 4, stopTokens: [], sampling: GREEDY, adapter },
    });
    assert.deepEqual(await ask(adapter), wanted);
    adapter.dispose();
    if (seed === 6) most = be.memory().held;
  }
  assert.equal(be.memory().held, most);
  await session.close();
  model.dispose();
});

test('an answer ends where its tokens are said to, which it keeps', async () => {
  const model = await tinyModel(await backend());
  const ids = [...randomIds(5, 4)];
  const ask = async (endsWith?: (tokens: readonly number[]) => boolean): Promise<Answer> => {
    const options = { max_new_tokens: 8, stopTokens: [], endsWith };
    for await (const answer of generate(model, [{ index: 0, ids }], options)) return answer;
    throw new Error('no answer');
  };
  const whole = await ask();
  assert.equal(whole.finish, 'length');
  for (const n of [1, 3, 8]) {
    const { tokens, finish } = await ask((written) => written.length === n);
    assert.deepEqual([tokens, finish], [whole.tokens.slice(0, n), 'stop']);
  }
  await assert.rejects(
    ask(() => {
      throw new Error('no');
    }),
    /^Error: no$/,
  );
  model.dispose();
});

test('whoever looks at logits sees what the choice is made of, and makes it another', async () => {
  const model = await tinyModel(await backend());
  const ids = [...randomIds(5, 4)];
  for (const sampling of SAMPLINGS) {
    const session = new Session(model, { slots: 3, longest: 8, newTokens: 8 });
    const ask = (onLogits?: Request['onLogits']): Promise<Answer> =>
      session.submit({ index: 0, ids, max_new_tokens: 8, stopTokens: [], sampling, onLogits });
    const likeliest: number[] = [];
    const even = (logits: Float32Array): void => {
      likeliest.push(logits.indexOf(Math.max(...logits)));
      for (let id = 1; id < logits.length; id += 2) logits[id] = -Infinity;
    };
    const [free, seen, bound] = await Promise.all([ask(), ask(() => undefined), ask(even)]);
    assert.deepEqual(seen, free);
    assert.ok(bound.tokens.every((id) => id % 2 === 0));
    if (!sampling.do_sample) assert.equal(free.tokens[0], likeliest[0]);
    const fault = new Error('no');
    const others = [ask(), ask(even)];
    await assert.rejects(
      ask(() => {
        throw fault;
      }),
      (error) => error === fault,
    );
    assert.deepEqual(await Promise.all(others), [free, bound]);
    await session.close();
  }
  model.dispose();
});

test('a beginning that many share is run once, however they come', async () => {
  const model = await tinyModel(await backend());
  const run = countRows(model);
  for (const piece of [undefined, 16]) {
    const session = new Session(model, {
      ...{ slots: 8, longest: 120, newTokens: 1, keeps: true },
      ...(piece !== undefined && { turns: { prompts: piece, answers: 1 } }),
    });
    const beginning = randomIds(100, 3);
    run.rows = 0;
    const answers = Array.from({ length: 8 }, (_, index) =>
      session.submit({
        ...{ index, ids: [...beginning, ...randomIds(10, 30 + index)], max_new_tokens: 1 },
        ...{ stopTokens: [], sampling: GREEDY },
      }),
    );
    await Promise.all(answers);
    assert.equal(run.rows, 100 + 8 * 10);
    await session.close();
  }
  model.dispose();
});

test('answers go on while a long prompt is read in pieces', async () => {
  const model = await tinyModel(await backend());
  const session = new Session(model, {
    slots: 2,
    longest: 100,
    newTokens: 30,
    turns: { prompts: 10, answers: 1 },
  });
  const order: string[] = [];
  const ask = (index: number, length: number, name: string, onToken = () => {}): Promise<Answer> =>
    session.submit({
      ...{ index, ids: [...randomIds(length, index)], max_new_tokens: 30, stopTokens: [], sampling: GREEDY },
      onToken: () => {
        order.push(name);
        onToken();
      },
    });
  let long: Promise<Answer> | undefined;
  await ask(0, 5, 'short', () => {
    if (order.length === 3) long = ask(1, 90, 'long');
  });
  await long;
  // Nine pieces, with a token of the other's behind each.
  const before = order.slice(0, order.indexOf('long')).length;
  assert.ok(before >= 9 && before <= 14, `${before}`);
  await session.close();
  model.dispose();
});

test('of a chat only what is new is run: each turn goes on from what its slot holds, also behind one that was ended', async () => {
  const model = await tinyModel(await backend());
  const adapter = strange(model, 1);
  const session = new Session(model, { slots: 1, longest: 120, newTokens: 8, keeps: true });
  const run = countRows(model);
  let ids: number[] = [...randomIds(20, 1)];
  for (let turn = 0; turn < 8; turn++) {
    const request: Request = {
      ...{ index: turn, ids, max_new_tokens: 8, stopTokens: [7], sampling: SAMPLINGS[turn % 3]! },
      adapter: turn < 6 ? adapter : null,
    };
    const wanted = await alone(model, request);
    const stop = new AbortController();
    const tokens: number[] = [];
    run.rows = 0;
    const answer = session.submit({
      ...{ ...request, signal: stop.signal },
      onToken(token) {
        tokens.push(token);
        // The fourth turn is ended by hand.
        if (turn === 3 && tokens.length === 3) stop.abort();
      },
    });
    if (turn === 3) await assert.rejects(answer, { name: 'AbortError' });
    else assert.deepEqual((await answer).tokens, wanted.tokens);
    assert.deepEqual(tokens, wanted.tokens.slice(0, tokens.length));
    // What the answer's last token and the new message are; all of it at first and with another adapter.
    const fresh = turn === 0 || turn === 6 ? ids.length : 6;
    assert.ok(run.rows <= fresh + tokens.length + 1, `turn ${turn}: ${run.rows} rows`);
    ids = [...ids, ...tokens, ...randomIds(4, 10 + turn)];
  }
  await session.close();
  adapter.dispose();
  model.dispose();
});
