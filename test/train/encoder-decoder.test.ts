/** T5 through the engine: gradients, packing, trainings side by side, checkpoints, answers and likelihoods. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attachLora, createLora, type LoraAdapter } from '../../src/adapters/lora.js';
import { loadAdapter, readAdapterConfig, saveAdapter } from '../../src/adapters/peft.js';
import type { Parameter } from '../../src/autograd/parameter.js';
import { packConcat, packIsolated, unpacked, type Block, type Example } from '../../src/data/index.js';
import { generate, type GenerateOptions } from '../../src/generate/generate.js';
import { scoreContinuations } from '../../src/generate/score.js';
import { loadModel } from '../../src/models/load.js';
import type { CausalLM } from '../../src/models/model.js';
import { saveModel } from '../../src/models/save.js';
import { AdamW } from '../../src/train/optimizer.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss, forwardBackward } from '../../src/train/step.js';
import { train, trainTogether } from '../../src/train/trainer.js';
import { UserError } from '../../src/util/errors.js';
import { ARGS, backend, LORA, randomIds, randomPairs, tinyModel, tinyT5 } from '../support/tiny.js';

const PLAIN = { seed: 1, pass: 0, bf16: false, gradient_checkpointing: false, neftune_noise_alpha: 0 };
/** The first T5's kind: a plain MLP, and the embedding's table as the head. */
const FIRST = { feed_forward_proj: 'relu', tie_word_embeddings: true };
const PAIRS = randomPairs([
  [9, 4],
  [26, 3],
  [5, 7],
]);

async function gradients(
  model: CausalLM,
  parameters: readonly Parameter[],
  blocks: readonly Block[],
  options: Partial<typeof PLAIN> = {},
): Promise<Float32Array[]> {
  const optimizer = new AdamW(parameters, ARGS);
  try {
    const batch = flatten(blocks);
    const all = { ...PLAIN, ...options };
    await (
      await forwardBackward(model, [{ batch, gradScale: 1 / batch.trainedTokens, ...all }], all)
    )[0]!.losses;
    return await Promise.all(parameters.map((p) => p.grad!.toFloat32()));
  } finally {
    optimizer.dispose();
  }
}

async function meanLoss(model: CausalLM, blocks: readonly Block[]): Promise<number> {
  const losses = await evaluateLoss(model, flatten(blocks));
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

/** B starts at zero, where A has no gradient: gives it something. */
function wake(adapter: LoraAdapter): LoraAdapter {
  for (const { name, value } of adapter.parameters)
    if (name.endsWith('lora_B.weight'))
      value.backend.upload(
        Float32Array.from({ length: value.length }, (_, i) => 0.05 * Math.sin(i)),
        value,
      );
  return adapter;
}

for (const [kind, overrides] of [
  ['gated, a head of its own', {}],
  ['ReLU, a tied head', FIRST],
] as const) {
  test(`t5 (${kind}): the gradient of every parameter agrees with finite differences`, async () => {
    const model = await tinyModel(await backend('reference'), { trainable: true }, tinyT5(overrides));
    const grads = await gradients(model, model.parameters, PAIRS);
    for (const [t, p] of model.parameters.entries()) {
      const values = await p.value.toFloat32();
      const norm = Math.hypot(...grads[t]!);
      const h = 1e-3 / Math.max(1, norm);
      const lossAt = async (sign: number): Promise<number> => {
        model.backend.upload(
          values.map((x, i) => x + (sign * h * grads[t]![i]!) / norm),
          p.value,
        );
        return await meanLoss(model, PAIRS);
      };
      const slope = ((await lossAt(1)) - (await lossAt(-1))) / (2 * h);
      model.backend.upload(values, p.value);
      assert.ok(Math.abs(slope - norm) < 0.02 * norm + 2e-4, `${p.name}: slope ${slope}, gradient ${norm}`);
    }
    model.dispose();
  });
}

test('t5: gradient checkpointing changes the gradient of no adapter, and of weights by no more than the order of sums', async () => {
  const be = await backend();
  const empty = be.memory().held;
  const model = await tinyModel(be, { trainable: true }, tinyT5());
  const adapter = wake(attachLora(model, { ...LORA, lora_dropout: 0.3 }, { seed: 3 }));
  const again = { gradient_checkpointing: true, neftune_noise_alpha: 5 };
  const noise = { neftune_noise_alpha: 5 };
  for (const [parameters, tolerance] of [
    [adapter.parameters, 1e-6],
    [model.parameters, 1e-5],
  ] as const) {
    const plain = await gradients(model, parameters, PAIRS, noise);
    const held = be.memory().held;
    const checkpointed = await gradients(model, parameters, PAIRS, again);
    assert.equal(be.memory().held, held);
    for (const [t, g] of checkpointed.entries()) {
      const size = Math.hypot(...plain[t]!);
      const error = Math.hypot(...g.map((x, i) => x - plain[t]![i]!));
      assert.ok(error <= tolerance * size, `${parameters[t]!.name}: ${error} of ${size}`);
    }
  }
  adapter.dispose();
  model.dispose();
  assert.equal(be.memory().held, empty);
});

const EXAMPLES: readonly Example[] = PAIRS.map(({ ids, encoder }, row) => ({
  encoderIds: encoder!.ids,
  ids,
  labels: ids.map((id, i) => (i === 0 ? -100 : id)),
  row,
}));

test('pairs side by side in a block do not see each other', async () => {
  const model = await tinyModel(await backend(), {}, tinyT5());
  const blocks = packIsolated(EXAMPLES, { length: 42 });
  assert.deepEqual(
    blocks.map(({ rows }) => rows),
    [[0, 1, 2]],
  );
  const alone = unpacked(EXAMPLES, { length: 42 });
  assert.equal(alone.length, 3);
  const [packed, apart] = [
    await evaluateLoss(model, flatten(blocks)),
    await evaluateLoss(model, flatten(alone)),
  ];
  assert.equal(packed.length, 3 + 2 + 6);
  assert.deepEqual(packed, apart);
  // What counts of a pair is its longer side.
  assert.equal(packIsolated(EXAMPLES, { length: 41 }).length, 2);
  model.dispose();
});

test('pairs are not joined into one text', () => {
  assert.throws(() => packConcat(EXAMPLES, { length: 40, eosTokenId: 1 }), {
    name: UserError.name,
    message: /training\.packing: concat .* 'isolated'/,
  });
});

test('t5: adapters that are trained together get the bits that each gets alone', async () => {
  const model = await tinyModel(await backend(), { quantization: { doubleQuant: true } }, tinyT5());
  const setups = [
    { lora: { ...LORA, lora_dropout: 0.2 }, blocks: PAIRS, neftune_noise_alpha: 5, seed: 3 },
    {
      lora: { ...LORA, r: 3, target_modules: ['q', 'v'] },
      blocks: packIsolated(EXAMPLES, { length: 42 }),
      neftune_noise_alpha: 0,
      seed: 4,
    },
    {
      lora: { ...LORA, target_modules: '.*EncDecAttention.*|lm_head' },
      blocks: randomPairs([
        [3, 9],
        [17, 2],
      ]),
      neftune_noise_alpha: 1,
      seed: 5,
    },
  ];
  const run = async (group: typeof setups): Promise<Float32Array[][]> => {
    const adapters = group.map(({ lora, seed }) => createLora(model, lora, { seed }));
    const outcomes = await trainTogether(
      model,
      group.map(({ blocks, neftune_noise_alpha, seed }, i) => ({
        trained: adapters[i]!,
        blocks,
        args: { ...ARGS, max_steps: 3, neftune_noise_alpha, seed },
      })),
    );
    assert.ok(outcomes.every(({ status }) => status === 'finished'));
    const values = await Promise.all(
      adapters.map((a) => Promise.all(a.parameters.map((p) => p.value.toFloat32()))),
    );
    for (const adapter of adapters) adapter.dispose();
    return values;
  };
  const all = await run(setups);
  for (const [i, setup] of setups.entries()) assert.deepEqual((await run([setup]))[0], all[i]);
  model.dispose();
});

test('t5: every weight trained, stopped and resumed, ends in the same bits; saved and loaded it is the same', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const args = { ...ARGS, max_steps: 6, save_steps: 2, save_total_limit: 1 };
  const run = async (stopAfter?: number): Promise<CausalLM> => {
    const model = await tinyModel(await backend(), { trainable: true }, tinyT5());
    const stop = new AbortController();
    const training = train(model, model.parameters, PAIRS, args, {
      ...(stopAfter !== undefined && { checkpoints: join(folder, 'checkpoints') }),
      signal: stop.signal,
      onStep: ({ step, tokens }) => {
        // Both sides' rows count.
        assert.ok(tokens > 12);
        if (step === stopAfter) stop.abort();
      },
    });
    if (stopAfter === 3) await assert.rejects(training, { name: 'AbortError' });
    else await training;
    return model;
  };
  const bits = (model: CausalLM): Promise<Float32Array[]> =>
    Promise.all(model.parameters.map((p) => p.value.toFloat32()));
  const whole = await run();
  (await run(3)).dispose();
  const resumed = await run(6);
  assert.deepEqual(await bits(resumed), await bits(whole));
  await saveModel(whole, join(folder, 'model'));
  const loaded = await loadModel(whole.backend, join(folder, 'model'));
  assert.deepEqual(await bits(loaded), await bits(whole));
  for (const model of [whole, resumed, loaded]) model.dispose();
  rmSync(folder, { recursive: true });
});

const GREEDY: GenerateOptions = {
  ...{ do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 5 },
  ...{ max_new_tokens: 12, stopTokens: [], batch_size: 3, sharedPrefix: 2 },
};
const PROMPTS = [5, 19, 1, 30, 8, 12, 3].map((length, index) => ({
  index,
  // A shared beginning, which an encoder nevertheless reads anew.
  ids: [7, 8, ...randomIds(length, 40 + index)],
}));

/** What is written behind the start token, as a block whose last `trained` tokens carry loss. */
function writtenBlock(prompt: readonly number[], tokens: readonly number[], trained: number): Block {
  const ids = Int32Array.from([0, ...tokens]);
  return {
    encoder: { ids: Int32Array.from(prompt), segments: new Int32Array(prompt.length) },
    ids,
    labels: ids.map((id, i) => (i < ids.length - trained ? -100 : id)),
    positions: Int32Array.from(ids.keys()),
    segments: new Int32Array(ids.length),
    rows: [0],
  };
}

for (const overrides of [{}, FIRST]) {
  test(`t5 ${JSON.stringify(overrides)}: an answer is what the whole model says, whatever is generated beside it`, async () => {
    const model = await tinyModel(await backend(), {}, tinyT5(overrides));
    attachLora(model, LORA, { seed: 2 });
    const answers = async (options: Partial<GenerateOptions>): Promise<number[][]> => {
      const out: number[][] = [];
      for await (const a of generate(model, PROMPTS, { ...GREEDY, ...options })) out[a.index] = a.tokens;
      return out;
    };
    const alone = await answers({ batch_size: 1 });
    assert.ok(new Set(alone.flat()).size > 4, 'the answers would show a fault');
    for (const options of [{}, { batch_size: 7 }]) assert.deepEqual(await answers(options), alone);
    const drawn = { do_sample: true, temperature: 0.9 };
    assert.deepEqual(await answers(drawn), await answers({ ...drawn, batch_size: 1 }));
    for (const index of [1, 3]) {
      const { ids } = PROMPTS[index]!;
      for (const [at, token] of alone[index]!.entries()) {
        const before = alone[index]!.slice(0, at);
        const lossOf = (next: number): Promise<number> =>
          meanLoss(model, [writtenBlock(ids, [...before, next], 1)]);
        const chosen = await lossOf(token);
        for (const other of [3, 17, 60, alone[0]![0]!]) assert.ok(chosen <= (await lossOf(other)) + 1e-4);
      }
    }
    model.dispose();
  });
}

test('t5: continuations score as the whole text does', async () => {
  const model = await tinyModel(await backend(), { quantization: { doubleQuant: true } }, tinyT5());
  const continuations = [[7], [9, 30], [9, 31, 4], [50, 51, 52, 53]];
  for await (const { index, logLikelihoods } of scoreContinuations(model, PROMPTS, continuations, {
    batch_size: 3,
  })) {
    for (const [c, tokens] of continuations.entries()) {
      const block = writtenBlock(PROMPTS[index]!.ids, tokens, tokens.length);
      const sum = tokens.length * (await meanLoss(model, [block]));
      assert.ok(Math.abs(-sum - logLikelihoods[c]!) < 1e-4, `${-sum} ${logLikelihoods[c]}`);
    }
  }
  model.dispose();
});

test("t5: an adapter is written as PEFT's for such models, and read again", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const model = await tinyModel(await backend(), {}, tinyT5());
  const adapter = wake(attachLora(model, { ...LORA, target_modules: ['q', 'v'] }, { seed: 2 }));
  // Queries and values of two encoder layers, and twice of two decoder layers.
  assert.equal(adapter.modules.length, 12);
  const loss = await meanLoss(model, PAIRS);
  await saveAdapter(adapter, folder, 'google/flan-t5-base');
  adapter.dispose();
  assert.notEqual(await meanLoss(model, PAIRS), loss);
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as object;
  assert.equal((config as { task_type: string }).task_type, 'SEQ_2_SEQ_LM');
  assert.equal(readAdapterConfig(folder).r, LORA.r);
  const loaded = loadAdapter(model, folder);
  assert.equal(await meanLoss(model, PAIRS), loss);
  loaded.dispose();
  model.dispose();
  rmSync(folder, { recursive: true });
});
