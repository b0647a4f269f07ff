import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachLora } from '../../src/adapters/lora.js';
import type { Parameter } from '../../src/autograd/parameter.js';
import type { Block } from '../../src/data/index.js';
import type { CausalLM } from '../../src/models/model.js';
import { AdamW } from '../../src/train/optimizer.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss, forwardBackward } from '../../src/train/step.js';
import { ARGS, backend, familyConfig, LORA, randomBlocks, tinyModel } from '../support/tiny.js';

const PLAIN = {
  seed: 1,
  pass: 0,
  bf16: false,
  gradient_checkpointing: false,
  neftune_noise_alpha: 0,
};

async function gradients(
  model: CausalLM,
  parameters: readonly Parameter[],
  passes: readonly Block[][],
  options: Partial<typeof PLAIN> = {},
): Promise<Float32Array[]> {
  const optimizer = new AdamW(parameters, ARGS);
  try {
    const flat = passes.map(flatten);
    const trained = flat.reduce((n, b) => n + b.trainedTokens, 0);
    const all = { ...PLAIN, ...options };
    for (const batch of flat)
      await (
        await forwardBackward(model, [{ batch, gradScale: 1 / trained, ...all }], all)
      )[0]!.losses;
    return await Promise.all(parameters.map((p) => p.grad!.toFloat32()));
  } finally {
    optimizer.dispose();
  }
}

function relative(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  let difference = 0;
  let size = 0;
  a.forEach((x, t) => {
    x.forEach((value, i) => {
      difference += (value - b[t]![i]!) ** 2;
      size += b[t]![i]! ** 2;
    });
  });
  return Math.sqrt(difference / size);
}

async function lora(model: CausalLM, dropout = 0): Promise<readonly Parameter[]> {
  const adapter = attachLora(model, { ...LORA, lora_dropout: dropout }, { seed: 3 });
  // B starts at zero, where A has no gradient: give it something.
  for (const p of adapter.parameters) {
    if (!p.name.endsWith('lora_B.weight')) continue;
    model.backend.upload(
      Float32Array.from({ length: p.value.length }, (_, i) => 0.05 * Math.sin(i)),
      p.value,
    );
  }
  return await Promise.resolve(adapter.parameters);
}

/** As the RefinedWeb models. */
const ALIBI = { alibi: true, multi_query: false, parallel_attn: false, bias: true };
const VARIANTS: readonly (readonly [type: string, more: Record<string, unknown>])[] = [
  ...['mistral', 'llama', 'qwen2', 'qwen3', 'gemma3_text', 'gpt_neox', 'falcon'].map((t) => [t, {}] as const),
  ['falcon', ALIBI],
];

for (const [type, more] of VARIANTS) {
  const name = [type, ...Object.keys(more).slice(0, 1)].join(', ');
  test(`${name}: the gradient of every parameter agrees with finite differences`, async () => {
    const be = await backend('reference');
    const model = await tinyModel(be, { trainable: true }, { ...familyConfig(type), ...more });
    const blocks = randomBlocks([9, 6], 5, 2);
    const grads = await gradients(model, model.parameters, [blocks]);
    const batch = flatten(blocks);
    const lossAt = async (p: Parameter, values: Float32Array): Promise<number> => {
      be.upload(values, p.value);
      const losses = await evaluateLoss(model, batch);
      return losses.reduce((a, b) => a + b, 0) / losses.length;
    };
    for (const [t, p] of model.parameters.entries()) {
      const values = await p.value.toFloat32();
      const g = grads[t]!;
      const norm = Math.hypot(...g);
      // Along the gradient itself the directional derivative is the gradient's norm.
      const h = 2e-3 / Math.max(1, norm);
      const at = (sign: number): Float32Array => values.map((x, i) => x + (sign * h * g[i]!) / norm);
      const slope = ((await lossAt(p, at(1))) - (await lossAt(p, at(-1)))) / (2 * h);
      be.upload(values, p.value);
      assert.ok(Math.abs(slope - norm) < 0.02 * norm + 1e-4, `${p.name}: slope ${slope}, gradient ${norm}`);
    }
    model.dispose();
  });
}

test('gradient checkpointing changes no bit of the gradient, dropout and NEFTune included', async () => {
  const model = await tinyModel(await backend());
  const parameters = await lora(model, 0.3);
  const blocks = randomBlocks([20, 13], 2);
  const options = { neftune_noise_alpha: 5 };
  const plain = await gradients(model, parameters, [blocks], options);
  const again = await gradients(model, parameters, [blocks], { ...options, gradient_checkpointing: true });
  assert.deepEqual(again, plain);
  model.dispose();
});

for (const type of ['qwen3', 'gemma3_text']) {
  test(`${type}: norms over heads are trained, with the same bits under gradient checkpointing, and leave nothing behind`, async () => {
    const be = await backend();
    const model = await tinyModel(be, { trainable: true }, familyConfig(type));
    const names = model.parameters.map((p) => p.name);
    const pass = (gradient_checkpointing: boolean): Promise<Float32Array[]> =>
      gradients(model, model.parameters, [randomBlocks([20, 13], 2)], { gradient_checkpointing });
    const plain = await pass(false);
    const before = be.memory().held;
    assert.deepEqual(await pass(true), plain);
    assert.equal(be.memory().held, before);
    for (const name of ['q_norm', 'k_norm']) {
      const gradient = plain[names.indexOf(`model.layers.1.self_attn.${name}.weight`)]!;
      assert.equal(gradient.length, 24);
      assert.ok(gradient.every((x) => x !== 0));
    }
    model.dispose();
  });
}

for (const more of [{}, ALIBI])
  test(`falcon${'alibi' in more ? ', alibi' : ''}: fused heads and biases give the same bits under gradient checkpointing, and leave nothing behind`, async () => {
    const be = await backend();
    const empty = be.memory().held;
    const model = await tinyModel(be, { trainable: true }, { ...familyConfig('falcon'), ...more });
    const pass = (gradient_checkpointing: boolean): Promise<Float32Array[]> =>
      gradients(model, model.parameters, [randomBlocks([20, 13], 2)], { gradient_checkpointing });
    const plain = await pass(false);
    const before = be.memory().held;
    assert.deepEqual(await pass(true), plain);
    assert.equal(be.memory().held, before);
    // More rows than the first tables of heads have.
    const long = await gradients(model, model.parameters, [randomBlocks([100, 100, 100], 2)]);
    assert.ok(long.every((g) => g.every(Number.isFinite)));
    model.dispose();
    assert.equal(be.memory().held, empty);
  });

test('accumulated passes give the gradient of the whole batch, whatever share of tokens is trained in each', async () => {
  const model = await tinyModel(await backend());
  const parameters = await lora(model);
  const [a, b, c] = [randomBlocks([24], 1, 20), randomBlocks([7], 2), randomBlocks([15], 3, 3)];
  const whole = await gradients(model, parameters, [[...a, ...b, ...c]]);
  const parts = await gradients(model, parameters, [a, b, c]);
  assert.ok(relative(parts, whole) < 1e-5);
  model.dispose();
});

test('isolated packing gives the losses and the gradient of the texts alone', async () => {
  const model = await tinyModel(await backend());
  const parameters = await lora(model);
  const texts = randomBlocks([11, 17, 5], 4, 1);
  const join = (key: 'ids' | 'labels' | 'positions'): Int32Array =>
    Int32Array.from(texts.flatMap((t) => [...t[key]]));
  const packed: Block = {
    ids: join('ids'),
    labels: join('labels'),
    positions: join('positions'),
    segments: Int32Array.from(texts.flatMap((t, i) => Array<number>(t.ids.length).fill(i))),
    rows: [0, 1, 2],
  };
  const alone: number[] = [];
  for (const text of texts) alone.push(...(await evaluateLoss(model, flatten([text]))));
  const together = await evaluateLoss(model, flatten([packed]));
  assert.equal(together.length, alone.length);
  together.forEach((loss, i) => assert.ok(Math.abs(loss - alone[i]!) < 1e-5 * alone[i]!));
  assert.ok(
    relative(await gradients(model, parameters, [[packed]]), await gradients(model, parameters, [texts])) <
      1e-5,
  );
  model.dispose();
});

test('NF4 weights pass gradients to LoRA as their dequantized selves do', async () => {
  const model = await tinyModel(await backend(), { quantization: { doubleQuant: true } });
  const parameters = await lora(model);
  const blocks = randomBlocks([16], 9);
  const grads = await gradients(model, parameters, [blocks]);
  const batch = flatten(blocks);
  for (const [t, p] of parameters.entries()) {
    const values = await p.value.toFloat32();
    const norm = Math.hypot(...grads[t]!);
    const h = 1e-2;
    const lossAt = async (sign: number): Promise<number> => {
      model.backend.upload(
        values.map((x, i) => x + (sign * h * grads[t]![i]!) / norm),
        p.value,
      );
      const losses = await evaluateLoss(model, batch);
      return losses.reduce((a, b) => a + b, 0) / losses.length;
    };
    const slope = ((await lossAt(1)) - (await lossAt(-1))) / (2 * h);
    model.backend.upload(values, p.value);
    assert.ok(Math.abs(slope - norm) < 0.03 * norm + 2e-3, `${p.name}: slope ${slope}, gradient ${norm}`);
  }
  model.dispose();
});

test('layers below the lowest trained one are not computed again, and leave nothing behind', async () => {
  const be = await backend();
  const model = await tinyModel(be);
  const adapter = attachLora(model, { ...LORA, target_modules: 'lm_head' }, { seed: 3 });
  const pass = (): Promise<Float32Array[]> =>
    gradients(model, adapter.parameters, [randomBlocks([30, 20], 6)], { gradient_checkpointing: true });
  await pass();
  const before = be.memory().held;
  await pass();
  await pass();
  assert.equal(be.memory().held, before);
  adapter.dispose();
  model.dispose();
});

test('a token that the model does not have is refused before a kernel looks it up', async () => {
  const model = await tinyModel(await backend());
  const [block] = randomBlocks([9], 1);
  const ids = Int32Array.from(block!.ids, (id, i) => (i === 3 ? model.config.vocab_size : id));
  for (const faulty of [
    { ...block!, ids },
    { ...block!, labels: ids },
  ])
    await assert.rejects(evaluateLoss(model, flatten([faulty])), /token \d+, but the model's vocabulary has/);
  model.dispose();
});

test('a step leaves no memory behind', async () => {
  const be = await backend();
  const model = await tinyModel(be, { quantization: { doubleQuant: true } });
  const parameters = await lora(model, 0.1);
  const run = (checkpointing: boolean): Promise<Float32Array[]> =>
    gradients(model, parameters, [randomBlocks([30, 20], 6)], {
      gradient_checkpointing: checkpointing,
      neftune_noise_alpha: 5,
    });
  await run(false);
  const before = be.memory().held;
  await run(false);
  await run(true);
  assert.equal(be.memory().held, before);
  model.dispose();
});
