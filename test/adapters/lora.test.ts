import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attachLora } from '../../src/adapters/lora.js';
import { mergeAdapter } from '../../src/adapters/merge.js';
import { loadAdapter, saveAdapter } from '../../src/adapters/peft.js';
import { ownTargets, targetModules } from '../../src/adapters/targets.js';
import { familyOf } from '../../src/models/families/index.js';
import { openCheckpoint } from '../../src/files/index.js';
import { loadModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import { UserError } from '../../src/util/errors.js';
import { backend, LORA, randomBlocks, tinyModel } from '../support/tiny.js';

const names = [
  'model.layers.0.self_attn.q_proj',
  'model.layers.0.self_attn.v_proj',
  'model.layers.1.mlp.up_proj',
  'lm_head',
];

test('target_modules picks what PEFT picks', () => {
  assert.deepEqual(targetModules(names, 'lm_head', ['q_proj', 'lm_head']), [names[0], names[3]]);
  assert.deepEqual(targetModules(names, 'lm_head', 'all-linear'), names.slice(0, 3));
  assert.deepEqual(targetModules(names, 'lm_head', String.raw`.*layers\.0.*(q|v)_proj`), names.slice(0, 2));
  // A name's ending counts from a dot on.
  assert.throws(() => targetModules(names, 'lm_head', ['proj']), UserError);
  assert.throws(
    () => targetModules(names, 'lm_head', ['q_proj', 'k_porj']),
    /k_porj matches no module.*q_proj, v_proj, up_proj, lm_head/,
  );
  assert.throws(() => targetModules(names, 'lm_head', '('), /not a regular expression/);
});

test('the names of most models stand for what another has in their place', async () => {
  const t5 = [
    'decoder.block.0.layer.0.SelfAttention.q',
    'decoder.block.0.layer.0.SelfAttention.v',
    'lm_head',
  ];
  assert.deepEqual(ownTargets(familyOf({ model_type: 't5' }), t5, ['q_proj', 'v_proj']), ['q', 'v']);
  assert.deepEqual(ownTargets(familyOf({ model_type: 't5' }), t5, ['up_proj', 'lm_head']), [
    'up_proj',
    'lm_head',
  ]);
  assert.deepEqual(ownTargets(familyOf({ model_type: 'llama' }), names, ['q_proj', 'v_proj']), [
    'q_proj',
    'v_proj',
  ]);
  assert.equal(ownTargets(familyOf({ model_type: 'llama' }), names, 'all-linear'), 'all-linear');
  const model = await loadModel(await backend(), join('test', 'golden', 'models', 'gpt_neox'));
  const adapter = attachLora(model, { ...LORA, target_modules: ['q_proj', 'v_proj'] }, { seed: 1 });
  assert.deepEqual(adapter.config.target_modules, ['query_key_value']);
  assert.ok(adapter.modules.every(({ name }) => name.endsWith('.attention.query_key_value')));
  adapter.dispose();
  model.dispose();
});

test('an adapter starts as the base, its scale follows rank, alpha and rsLoRA', async () => {
  const model = await tinyModel(await backend());
  const blocks = flatten(randomBlocks([12, 8]));
  const base = await evaluateLoss(model, blocks);
  const adapter = attachLora(
    model,
    { ...LORA, use_rslora: true, rank_pattern: { q_proj: 16 }, alpha_pattern: { 'layers.0.*v_proj': 3 } },
    { seed: 1 },
  );
  assert.deepEqual(await evaluateLoss(model, blocks), base);
  const scaling = (name: string): number => adapter.modules.find((module) => module.name === name)!.scaling;
  assert.equal(scaling('model.layers.1.self_attn.q_proj'), 8 / 4);
  assert.equal(scaling('model.layers.0.self_attn.v_proj'), 3 / 2);
  adapter.dispose();
  model.dispose();
});

test('an adapter that is saved and loaded is the same, and merging it gives the same model', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const be = await backend();
  const random = await tinyModel(be);
  const base = join(folder, 'base');
  await saveModel(random, base, { maxShardSize: 60_000 });
  random.dispose();
  const model = await loadModel(be, base);
  const adapter = attachLora(
    model,
    { ...LORA, target_modules: ['q_proj', 'down_proj', 'lm_head'] },
    { seed: 4 },
  );
  for (const p of adapter.parameters)
    be.upload(
      Float32Array.from({ length: p.value.length }, (_, i) => 0.1 * Math.cos(i)),
      p.value,
    );
  const blocks = flatten(randomBlocks([15, 9]));
  const tuned = await evaluateLoss(model, blocks);
  await saveAdapter(adapter, join(folder, 'adapter'), base);
  adapter.dispose();
  const again = loadAdapter(model, join(folder, 'adapter'));
  assert.deepEqual(await evaluateLoss(model, blocks), tuned);
  again.dispose();

  const merged = await mergeAdapter(be, base, join(folder, 'adapter'), join(folder, 'merged'), {
    maxShardSize: '60KB',
  });
  assert.equal(merged.length, 5);
  assert.deepEqual(openCheckpoint(join(folder, 'merged')).names.length, openCheckpoint(base).names.length);
  const whole = await loadModel(be, join(folder, 'merged'));
  (await evaluateLoss(whole, blocks)).forEach((loss, i) =>
    assert.ok(Math.abs(loss - tuned[i]!) < 1e-4 * tuned[i]!),
  );
  whole.dispose();
  await mergeAdapter(be, base, join(folder, 'adapter'), join(folder, 'half'), { dtype: 'BF16' });
  const config = JSON.parse(readFileSync(join(folder, 'half', 'config.json'), 'utf8')) as {
    torch_dtype: string;
  };
  assert.equal(config.torch_dtype, 'bfloat16');
  model.dispose();
  rmSync(folder, { recursive: true });
});

test('what Westwind cannot do of PEFT is refused by name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const model = await tinyModel(await backend());
  const adapter = attachLora(model, LORA, { seed: 4 });
  await saveAdapter(adapter, folder, null);
  adapter.dispose();
  const path = join(folder, 'adapter_config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  for (const change of [
    { use_dora: true },
    { bias: 'all' },
    { modules_to_save: ['lm_head'] },
    { peft_type: 'IA3' },
    { r: 5 },
    { init_lora_weights: 'pissa' },
    { target_modules: ['q_proj'] },
  ]) {
    writeFileSync(path, JSON.stringify({ ...config, ...change }));
    assert.throws(
      () => loadAdapter(model, folder),
      (error: Error) => {
        assert.ok(error instanceof UserError);
        assert.ok(!error.message.includes('\n'));
        return true;
      },
    );
  }
  model.dispose();
  rmSync(folder, { recursive: true });
});

test('merging ends with its signal at any tensor, and leaves nothing, nor folders that it made', async () => {
  const be = await backend();
  const root = mkdtempSync(join(tmpdir(), 'westwind-'));
  const [base, adapterFolder] = [join(root, 'base'), join(root, 'adapter')];
  const model = await tinyModel(be);
  await saveModel(model, base);
  const adapter = attachLora(model, LORA, { seed: 2 });
  await saveAdapter(adapter, adapterFolder, base);
  adapter.dispose();
  model.dispose();
  const { held } = be.memory();
  const merge = (out: string, signal: AbortSignal): Promise<string[]> =>
    mergeAdapter(be, base, adapterFolder, out, { maxShardSize: '30KB', signal });
  const there = join(root, 'there');
  mkdirSync(there);
  let aborted = 0;
  for (let turns = 0, tries = 0; ; turns += 1 + Math.ceil(turns / 4), tries++) {
    const stop = new AbortController();
    const turn = (left: number): void => {
      if (left === 0) stop.abort();
      else setImmediate(() => turn(left - 1));
    };
    const [out, made] = tries % 2 === 0 ? [there, undefined] : [join(root, 'new/merged'), join(root, 'new')];
    const merging = merge(out, stop.signal);
    turn(turns);
    const outcome = await merging.then(
      () => 'merged',
      (error: unknown) => (error as Error).name,
    );
    assert.equal(be.memory().held, held);
    if (outcome === 'merged') {
      assert.ok(readdirSync(out).includes('model.safetensors.index.json'));
      break;
    }
    assert.equal(outcome, 'AbortError');
    aborted++;
    if (made === undefined) assert.deepEqual(readdirSync(out), []);
    else assert.ok(!existsSync(made));
  }
  assert.ok(aborted > 5, `${aborted} places`);
  rmSync(root, { recursive: true });
});
