import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachLora } from '../../src/adapters/lora.js';
import { generate, type GenerateOptions } from '../../src/generate/generate.js';
import { commonPrefix } from '../../src/generate/prompts.js';
import { scoreContinuations } from '../../src/generate/score.js';
import type { CausalLM } from '../../src/models/model.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import { backend, familyConfig, LORA, randomIds, tinyModel } from '../support/tiny.js';

const greedy: GenerateOptions = {
  do_sample: false,
  temperature: 1,
  top_p: 1,
  top_k: 0,
  seed: 5,
  max_new_tokens: 14,
  stopTokens: [],
  batch_size: 3,
};
const prompts = [5, 19, 1, 30, 8, 12, 3].map((length, index) => ({
  index,
  ids: [...randomIds(length, 40 + index)],
}));

async function answers(model: CausalLM, options: GenerateOptions, which = prompts): Promise<number[][]> {
  const out: number[][] = [];
  for await (const a of generate(model, which, options)) out[a.index] = a.tokens;
  return out;
}

async function model(type = 'mistral'): Promise<CausalLM> {
  const config = familyConfig(type);
  const m = await tinyModel(await backend(), { quantization: { doubleQuant: true } }, config);
  attachLora(m, LORA, { seed: 2 });
  return m;
}

test('an answer does not depend on what is generated beside it', async () => {
  const m = await model();
  for (const options of [greedy, { ...greedy, do_sample: true, temperature: 0.8, top_p: 0.9, top_k: 20 }]) {
    const alone = await answers(m, { ...options, batch_size: 1 });
    assert.deepEqual(await answers(m, options), alone);
    assert.deepEqual(await answers(m, { ...options, batch_size: 7 }), alone);
    assert.deepEqual(await answers(m, options, prompts.slice(3)), [, , , ...alone.slice(3)] as number[][]);
  }
  m.dispose();
});

test("a prompt's likelihoods do not depend on the prompts beside it", async () => {
  const m = await model();
  const scores = async (batch_size: number): Promise<number[][]> => {
    const out: number[][] = [];
    for await (const s of scoreContinuations(m, prompts, [[3], [9, 4], [7, 7, 1]], { batch_size }))
      out[s.index] = s.logLikelihoods;
    return out;
  };
  const alone = await scores(1);
  assert.deepEqual(await scores(2), alone);
  assert.deepEqual(await scores(7), alone);
  m.dispose();
});

for (const type of ['mistral', 'qwen3', 'gemma3_text'])
  test(`${type}: greedy answers are what the whole model says of each prefix`, async () => {
    const m = await model(type);
    const [answer] = await answers(
      m,
      greedy,
      prompts.slice(1, 2).map((p) => ({ ...p, index: 0 })),
    );
    const whole = [...prompts[1]!.ids, ...answer!];
    // Had another token been likelier anywhere, its loss would be below the chosen one's.
    for (let at = prompts[1]!.ids.length; at < whole.length; at++) {
      const lossOf = async (token: number): Promise<number> => {
        const ids = Int32Array.from([...whole.slice(0, at), token]);
        const labels = ids.map((id, i) => (i === at ? id : -100));
        const positions = Int32Array.from(ids.keys());
        return (
          await evaluateLoss(
            m,
            flatten([{ ids, labels, positions, segments: new Int32Array(ids.length), rows: [0] }]),
          )
        )[0]!;
      };
      const chosen = await lossOf(whole[at]!);
      for (const other of [3, 17, 60]) assert.ok(chosen <= (await lossOf(other)) + 1e-4);
    }
    m.dispose();
  });

test('a stop token ends an answer and is no part of it', async () => {
  const m = await model();
  const free = await answers(m, greedy);
  const stop = free[1]![4]!;
  const stopped = await answers(m, { ...greedy, stopTokens: [stop] });
  stopped.forEach((tokens, i) => {
    const end = free[i]!.indexOf(stop);
    assert.deepEqual(tokens, end < 0 ? free[i] : free[i]!.slice(0, end));
  });
  m.dispose();
});

test('a shared prefix that is run once gives the same answers in any batch', async () => {
  const m = await model();
  const prefix = [...randomIds(16, 77)];
  const long = prompts.map(({ index, ids }) => ({ index, ids: [...prefix, ...ids] }));
  const sharedPrefix = commonPrefix(long.map((p) => p.ids));
  assert.equal(sharedPrefix, 16);
  const alone = await answers(m, { ...greedy, sharedPrefix, batch_size: 1 }, long);
  assert.deepEqual(await answers(m, { ...greedy, sharedPrefix, batch_size: 4 }, long), alone);
  assert.deepEqual(alone, await answers(m, greedy, long));
  m.dispose();
});

test('continuations score as the whole text does', async () => {
  const m = await model();
  const continuations = [[7], [9, 30], [9, 31, 4], [50, 51, 52, 53]];
  for await (const { index, logLikelihoods } of scoreContinuations(m, prompts, continuations, {
    batch_size: 3,
  })) {
    for (const [c, tokens] of continuations.entries()) {
      const prompt = prompts[index]!.ids;
      const ids = Int32Array.from([...prompt, ...tokens]);
      const labels = ids.map((id, i) => (i < prompt.length ? -100 : id));
      const positions = Int32Array.from(ids.keys());
      const losses = await evaluateLoss(
        m,
        flatten([{ ids, labels, positions, segments: new Int32Array(ids.length), rows: [0] }]),
      );
      assert.ok(Math.abs(-losses.reduce((a, b) => a + b, 0) - logLikelihoods[c]!) < 1e-4);
    }
  }
  m.dispose();
});
