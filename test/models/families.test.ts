import assert from 'node:assert/strict';
import { test } from 'node:test';
import { architectures, familyOf } from '../../src/models/families/index.js';
import { randomModel } from '../../src/models/load.js';
import { RandomWeights } from '../../src/models/random.js';
import { WeightLoader } from '../../src/models/weights.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import { UserError } from '../../src/util/errors.js';
import { backend, familyConfig, randomBlocks, tinyModel, tinyT5 } from '../support/tiny.js';

const GEMMA = familyConfig('gemma3_text');

async function losses(config: Record<string, unknown>): Promise<number[]> {
  const model = await tinyModel(await backend(), { seed: 4 }, config);
  const found = await evaluateLoss(model, flatten(randomBlocks([40])));
  model.dispose();
  return [...found];
}

test('what transformers 4 and 5 write of the layers and rotations of Gemma 3 means the same', async () => {
  const { rope_theta, rope_scaling, sliding_window_pattern, ...rest } = GEMMA;
  assert.deepEqual([rope_theta, sliding_window_pattern], [1_000_000, 2]);
  const named = {
    ...rest,
    layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'],
    rope_parameters: {
      full_attention: { rope_type: 'linear', factor: 4, rope_theta: 1_000_000 },
      sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
    },
  };
  const old = await losses(GEMMA);
  assert.deepEqual(await losses(named), old);
  // A file that both have written: parameters by layer type, but their bases as before.
  const mixed = { full_attention: rope_scaling, sliding_attention: { rope_type: 'default' } };
  assert.deepEqual(await losses({ ...named, rope_theta, rope_parameters: mixed }), old);
  const { full_attention, sliding_attention } = named.rope_parameters;
  for (const changed of [
    { rope_parameters: { full_attention: sliding_attention, sliding_attention: full_attention } },
    { rope_parameters: { full_attention, sliding_attention: full_attention } },
    { layer_types: ['sliding_attention', 'full_attention', 'full_attention'] },
    { sliding_window: 7 },
    { query_pre_attn_scalar: 24 },
  ])
    assert.notDeepEqual(await losses({ ...named, ...changed }), old, JSON.stringify(changed));
});

test("the embeddings' scale is rounded to the type of their table", async () => {
  const be = await backend();
  const scale = (dtype: 'f32' | 'bf16' | 'f16'): number => {
    const loader = new WeightLoader(be, new RandomWeights(be, {}, 1), {}, { dtype });
    const embedding = loader.embedding('model.embed_tokens', 4, 8, Math.sqrt(3072));
    loader.dispose();
    return embedding.scale;
  };
  // 55.4256 is 55.5 in bfloat16, as transformers' Gemma has it.
  assert.deepEqual(
    [scale('f32'), scale('bf16'), scale('f16')],
    [Math.fround(Math.sqrt(3072)), 55.5, 55.4375],
  );
});

test('random norms multiply by 1, whether their weights are kept so or less 1', async () => {
  for (const [type, value] of [
    ['qwen3', 1],
    ['gemma3_text', 0],
  ] as const) {
    const model = await tinyModel(await backend(), {}, familyConfig(type));
    const norms = model.parameters.filter((p) => p.name.endsWith('norm.weight'));
    assert.equal(norms.length, type === 'qwen3' ? 2 * 4 + 1 : 3 * 6 + 1);
    for (const norm of norms) assert.ok((await norm.value.toFloat32()).every((x) => x === value));
    model.dispose();
  }
});

test('what these families have in other models only is refused in one line', async () => {
  const be = await backend();
  const empty = be.memory().held;
  const faults: [string, Record<string, unknown>, RegExp][] = [
    ['gemma3_text', { final_logit_softcapping: 30 }, /^config: final_logit_softcapping: soft-capping/],
    ['gemma3_text', { attn_logit_softcapping: 50 }, /^config: attn_logit_softcapping: soft-capping/],
    [
      'gemma3_text',
      { use_bidirectional_attention: true },
      /^config: use_bidirectional_attention: attention to later/,
    ],
    ['gemma3_text', { hidden_activation: 'gelu' }, /^config: hidden_activation: /],
    [
      'gemma3_text',
      { layer_types: ['full_attention'] },
      /^config: layer_types names 1 layers, but num_hidden_layers is 3/,
    ],
    ['qwen3', { layer_types: Array(4).fill('full_attention') }, /^config: layer_types names 4 layers/],
    ['qwen3', { layer_types: ['full_attention', 'chunked_attention'] }, /^config: layer_types\.1: /],
  ];
  for (const [type, change, message] of faults)
    await assert.rejects(randomModel(be, { ...familyConfig(type), ...change }), (error: Error) => {
      assert.ok(error instanceof UserError, error.stack);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  assert.equal(be.memory().held, empty);
});

test('what a family says of its names and its context is so in its models', async () => {
  const be = await backend();
  for (const type of architectures()) {
    const family = familyOf({ model_type: type });
    const config = type === 't5' ? tinyT5({ n_positions: 77 }) : familyConfig(type);
    const model = await tinyModel(be, {}, config);
    const endings = new Set([...model.linears.keys()].map((name) => name.slice(name.lastIndexOf('.') + 1)));
    for (const name of Object.values(family.modules)) assert.ok(endings.has(name), `${type}: ${name}`);
    assert.ok(`.${model.embedding.name}`.endsWith(`.${family.embedding}`), type);
    assert.equal(family.contextLength(config, 'config.json'), model.config.max_position_embeddings, type);
    model.dispose();
  }
  assert.throws(
    () => familyOf({ model_type: 'toString' }, 'a/config.json'),
    /^UserError: a\/config\.json: model_type 'toString'/,
  );
});
