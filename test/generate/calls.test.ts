/** Calls that are aborted, and calls beside each other over one model. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { attachLora, createLora, type LoraAdapter, type LoraSource } from '../../src/adapters/lora.js';
import type { Backend } from '../../src/backends/contract.js';
import { generate, type GenerateOptions } from '../../src/generate/generate.js';
import { scoreContinuations } from '../../src/generate/score.js';
import type { CausalLM } from '../../src/models/model.js';
import { backend, familyConfig, LORA, randomIds, tinyModel, tinyT5 } from '../support/tiny.js';

const greedy: GenerateOptions = {
  ...{ do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 5 },
  ...{ max_new_tokens: 8, stopTokens: [], batch_size: 3, sharedPrefix: 2 },
};
const shared = [...randomIds(2, 9)];
const prompts = [5, 19, 1, 30, 8].map((length, index) => ({
  index,
  ids: [...shared, ...randomIds(length, 40 + index)],
}));
const continuations = [[3], [9, 4], [7, 7, 1]];

async function answers(model: CausalLM, options: Partial<GenerateOptions> = {}): Promise<number[][]> {
  const out: number[][] = [];
  for await (const { index, tokens } of generate(model, prompts, { ...greedy, ...options }))
    out[index] = tokens;
  return out;
}

async function scores(model: CausalLM, options: { adapter?: LoraAdapter | null; signal?: AbortSignal } = {}) {
  const out: number[][] = [];
  for await (const { index, logLikelihoods } of scoreContinuations(model, prompts, continuations, {
    ...{ batch_size: 3, sharedPrefix: 2, ...options },
  }))
    out[index] = logLikelihoods;
  return out;
}

/** The backend, with `seen` called before each kernel is asked for. */
function watched(real: Backend, seen: () => void): Backend {
  const kernels = Object.fromEntries(
    Object.entries(real.kernels).map(([name, kernel]) => [
      name,
      (args: never) => {
        seen();
        (kernel as (args: never) => void)(args);
      },
    ]),
  );
  return { ...real, kernels: kernels as unknown as Backend['kernels'] };
}

/** An adapter whose answers are far from the base's. */
function strange(model: CausalLM, seed: number): LoraAdapter {
  const numbers = (n: number, stream: number): Float32Array =>
    Float32Array.from(randomIds(n, 1000 * seed + stream), (id) => (id / 96 - 0.5) / 4);
  let stream = 0;
  const source: LoraSource = (_module, _tensor, shape) =>
    numbers(
      shape.reduce((a, b) => a * b, 1),
      stream++,
    );
  return createLora(model, LORA, { source });
}

for (const type of ['mistral', 't5'])
  test(`${type}: an abort at any place ends a call with an AbortError, and leaves the model as it was`, async () => {
    const real = await backend();
    let stop: AbortController | undefined;
    let left = 0;
    const counted = watched(real, () => {
      if (--left === 0) stop?.abort();
    });
    const model = await tinyModel(counted, {}, type === 't5' ? tinyT5() : familyConfig(type));
    const right = { answers: await answers(model), scores: await scores(model) };
    const { held } = real.memory();
    for (const call of [answers, scores])
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 150 }), async (place) => {
          stop = new AbortController();
          left = place;
          await assert.rejects(call(model, { signal: stop.signal }), { name: 'AbortError' });
          assert.equal(real.memory().held, held);
        }),
        { numRuns: 12 },
      );
    stop = undefined;
    assert.deepEqual({ answers: await answers(model), scores: await scores(model) }, right);
    model.dispose();
  });

test('the AbortError is the reason where that is one, else has it as its cause; a call with an aborted signal does nothing', async () => {
  let asked = 0;
  const model = await tinyModel(watched(await backend(), () => asked++));
  asked = 0;
  const reason = new DOMException('enough', 'AbortError');
  await assert.rejects(answers(model, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  await assert.rejects(scores(model, { signal: AbortSignal.abort('no more') }), {
    name: 'AbortError',
    cause: 'no more',
  });
  assert.equal(asked, 0);
  model.dispose();
});

test('tokens that an aborted pass chose are not told', async () => {
  const stop = new AbortController();
  const model = await tinyModel(await backend());
  const told: number[] = [];
  const onToken = (_: number, token: number): void => {
    told.push(token);
    if (told.length === 7) stop.abort();
  };
  await assert.rejects(answers(model, { signal: stop.signal, onToken, batch_size: 1 }), {
    name: 'AbortError',
  });
  assert.equal(told.length, 7);
  model.dispose();
});

test('calls beside each other answer as each does alone, whatever is attached, detached and freed meanwhile', async () => {
  const model = await tinyModel(await backend());
  const made = [1, 2, 3].map((seed) => strange(model, seed));
  const choices = [null, ...made];
  const alone: number[][][] = [];
  const likely: number[][][] = [];
  for (const adapter of choices) {
    alone.push(await answers(model, { adapter }));
    likely.push(await scores(model, { adapter }));
  }
  for (const i of [1, 2, 3]) assert.notDeepEqual(alone[i], alone[0]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), fc.boolean(), fc.integer({ min: 1, max: 5 })), {
        minLength: 2,
        maxLength: 4,
      }),
      fc.array(fc.nat(3), { minLength: 3, maxLength: 9 }),
      async (calls, attachments) => {
        const attached = attachments.values();
        const attach = (): void => {
          const next = attached.next().value;
          if (next === 0) for (const adapter of made) adapter.detach();
          else if (next !== undefined) made[next - 1]!.attach();
        };
        const results = await Promise.all(
          calls.map(async ([which, byName, batch_size]) => {
            // By name, or as what is attached when the call begins.
            const adapter = byName ? { adapter: choices[which]! } : {};
            if (!byName) {
              for (const other of made) other.detach();
              choices[which]?.attach();
            }
            const first = answers(model, { ...adapter, batch_size, onToken: attach });
            const second = scores(model, adapter);
            return [await first, await second];
          }),
        );
        for (const [i, [which]] of calls.entries())
          assert.deepEqual(results[i], [alone[which], likely[which]]);
      },
    ),
    { numRuns: 15 },
  );
  for (const adapter of made) adapter.dispose();
  model.dispose();
});

test('an adapter that is freed stays until the calls with it end; one of another model is refused', async () => {
  const be = await backend();
  const model = await tinyModel(be);
  const { held } = be.memory();
  const right = await answers(model, { adapter: strange(model, 1) });
  const adapter = attachLora(model, LORA, { seed: 1 });
  adapter.dispose();
  const doomed = strange(model, 1);
  doomed.attach();
  assert.deepEqual(
    await answers(model, {
      onToken: (() => {
        let done = false;
        return () => {
          if (!done) doomed.dispose();
          done = true;
        };
      })(),
    }),
    right,
  );
  assert.equal(model.adapter, undefined);
  const other = await tinyModel(be);
  assert.throws(() => generate(other, prompts, { ...greedy, adapter: doomed }), /made for another model/);
  other.dispose();
  assert.ok(be.memory().held >= held);
  model.dispose();
});
