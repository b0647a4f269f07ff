import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inverseFrequencies } from '../../src/models/blocks/rotary.js';
import { architectures } from '../../src/models/families/index.js';
import { loadModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import { UserError } from '../../src/util/errors.js';
import { backend, familyConfig, randomBlocks, tinyConfig, tinyModel } from '../support/tiny.js';

test('the architectures are the files of the folder', () => {
  assert.deepEqual(architectures(), [
    'falcon',
    'gemma3_text',
    'gpt_neox',
    'llama',
    'mistral',
    'qwen2',
    'qwen3',
    't5',
  ]);
  const files = readdirSync(join('src', 'models', 'families')).filter((file) => file !== 'index.ts');
  assert.deepEqual(architectures(), files.map((file) => file.replace('.ts', '')).sort());
});

test('float16 and bfloat16 checkpoints load, sharded or whole', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const be = await backend();
  const empty = be.memory().held;
  const model = await tinyModel(be);
  const blocks = flatten(randomBlocks([20]));
  const exact = await evaluateLoss(model, blocks);
  for (const dtype of ['F16', 'BF16'] as const) {
    for (const maxShardSize of ['5GB', '30KB']) {
      await saveModel(model, folder, { dtype, maxShardSize, force: true });
      const loaded = await loadModel(be, folder);
      const losses = await evaluateLoss(loaded, blocks);
      losses.forEach((loss, i) => assert.ok(Math.abs(loss - exact[i]!) < 0.02 * exact[i]!));
      assert.ok(loaded.weightBytes < 0.6 * model.weightBytes);
      loaded.dispose();
    }
  }
  model.dispose();
  assert.equal(be.memory().held, empty);
  rmSync(folder, { recursive: true });
});

test('a model with 4-bit weights is not written, and an existing folder is left as it is', async () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'westwind-')), 'model');
  const model = await tinyModel(await backend(), { quantization: { doubleQuant: true } });
  await assert.rejects(
    saveModel(model, folder),
    (e) =>
      e instanceof UserError && /^model\.layers\.0\.\S+ is in 4 bits, which is not written: /.test(e.message),
  );
  assert.ok(!existsSync(folder));
  model.dispose();
});

test('fused heads, their biases and both norms are written and read back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const be = await backend();
  const empty = be.memory().held;
  for (const config of [familyConfig('gpt_neox'), { ...familyConfig('falcon'), bias: true, alibi: true }]) {
    const model = await tinyModel(be, { trainable: true }, config);
    const blocks = flatten(randomBlocks([20]));
    await saveModel(model, folder, { force: true });
    const loaded = await loadModel(be, folder);
    assert.deepEqual(await evaluateLoss(loaded, blocks), await evaluateLoss(model, blocks));
    assert.deepEqual(
      loaded.parameters.map((p) => p.name),
      model.parameters.map((p) => p.name),
    );
    loaded.dispose();
    model.dispose();
  }
  assert.equal(be.memory().held, empty);
  rmSync(folder, { recursive: true });
});

test('configs of Falcon and GPT-NeoX that no model has are refused in a line', async () => {
  const be = await backend();
  const faults: [Record<string, unknown>, RegExp][] = [
    [
      { model_type: 'gpt_neox', hidden_act: 'relu' },
      /hidden_act 'relu' is not supported; Westwind knows gelu/,
    ],
    [{ model_type: 'gpt_neox', hidden_act: 'gelu', rotary_pct: 0.2 }, /3 elements of each head are turned/],
    [
      { model_type: 'falcon', new_decoder_architecture: true, num_kv_heads: 3 },
      /not a multiple of num_kv_heads/,
    ],
    [{ model_type: 'falcon', num_ln_in_parallel_attn: 2 }, /needs new_decoder_architecture/],
    [{ model_type: 'falcon', new_decoder_architecture: true, parallel_attn: false }, /needs parallel_attn/],
  ];
  for (const [change, message] of faults)
    await assert.rejects(tinyModel(be, {}, tinyConfig(change)), (error: Error) => {
      assert.ok(error instanceof UserError, error.stack);
      assert.match(error.message, message);
      return true;
    });
});

test('a faulty folder gives one line that names the fault, and holds no memory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const be = await backend();
  const model = await tinyModel(be);
  const faults: [string, () => void, RegExp][] = [
    ['no folder', () => rmSync(folder, { recursive: true }), /config\.json does not exist/],
    ['not JSON', () => writeFileSync(join(folder, 'config.json'), '{'), /not valid JSON/],
    [
      'unknown type',
      () => write({ model_type: 'bert' }),
      /model_type 'bert' is not supported; Westwind knows falcon, gemma3_text, gpt_neox, llama, mistral, qwen2, qwen3, t5/,
    ],
    ['hostile type', () => write({ model_type: '../../etc/passwd' }), /not supported/],
    [
      'wrong size',
      () => write({ hidden_size: 96, head_dim: 16 }),
      /has shape \[96, 64\], but config.json asks for \[96, 96\]/,
    ],
    ['no size', () => write({ hidden_size: undefined }), /hidden_size/],
    ['heads', () => write({ num_key_value_heads: 3 }), /not a multiple of num_key_value_heads/],
    [
      'rope',
      () => write({ rope_scaling: { rope_type: 'yarn', factor: 2 } }),
      /rope_type 'yarn' is not supported/,
    ],
    [
      'more layers',
      () => write({ num_hidden_layers: 3 }),
      /'model\.layers\.2\.input_layernorm\.weight' is missing/,
    ],
    ['truncated', () => truncateSync(join(folder, 'model.safetensors'), 5000), /model\.safetensors/],
  ];
  const write = (change: Record<string, unknown>): void =>
    writeFileSync(join(folder, 'config.json'), JSON.stringify(tinyConfig(change)));
  const before = be.memory().held;
  for (const [name, spoil, message] of faults) {
    mkdirSync(folder, { recursive: true });
    await saveModel(model, folder, { force: true });
    spoil();
    await assert.rejects(loadModel(be, folder), (error: Error) => {
      assert.ok(error instanceof UserError, `${name}: ${error.stack ?? ''}`);
      assert.match(error.message, message);
      return true;
    });
    assert.equal(be.memory().held, before, name);
  }
  model.dispose();
});

test('llama3 scaling stretches low frequencies whole, leaves high ones, and blends between', () => {
  const parameters = {
    rope_theta: 10000,
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const plain = inverseFrequencies(128, { ...parameters, rope_type: 'default' });
  const scaled = inverseFrequencies(128, { ...parameters, rope_type: 'llama3' });
  assert.equal(scaled[0], plain[0]);
  assert.ok(Math.abs(scaled[63]! - plain[63]! / 8) < 1e-12);
  scaled.forEach((f, i) => assert.ok(f <= plain[i]! && f >= plain[i]! / 8 - 1e-9));
});
