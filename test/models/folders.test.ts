/** Model folders as the world has them: which of their weights are meant, and what is refused as what it is. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { mergeAdapter } from '../../src/adapters/merge.js';
import { attachLora } from '../../src/adapters/lora.js';
import { saveAdapter } from '../../src/adapters/peft.js';
import type { Backend } from '../../src/backends/contract.js';
import { writeReport } from '../../src/experiments/report/index.js';
import { openCheckpoint, writeCheckpoint } from '../../src/files/index.js';
import { resolveModel } from '../../src/import/resolve.js';
import { loadModel } from '../../src/models/load.js';
import { isTied } from '../../src/models/model.js';
import { saveModel } from '../../src/models/save.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import { UserError } from '../../src/util/errors.js';
import { backend, familyConfig, LORA, randomBlocks, tinyConfig, tinyModel, tinyT5 } from '../support/tiny.js';

let scratch: string;
let be: Backend;
let made = 0;
const fresh = (): string => join(scratch, String(made++));

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'westwind-'));
  be = await backend();
});
after(() => rmSync(scratch, { recursive: true }));

async function model(config = tinyConfig(), options: Parameters<typeof saveModel>[2] = {}): Promise<string> {
  const folder = fresh();
  const random = await tinyModel(be, { seed: made }, config);
  await saveModel(random, folder, options);
  random.dispose();
  return folder;
}

function fails(work: () => Promise<unknown>, what: RegExp): Promise<void> {
  return assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    assert.match(error.message, what);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
}

const bytesOf = (folder: string): Map<string, Buffer> =>
  new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));

test('model.safetensors comes before an index, which decides where it is alone', async () => {
  const single = await model();
  const sharded = await model(tinyConfig(), { maxShardSize: '60KB' });
  const names = readdirSync(sharded).filter((name) => /^model-|index/.test(name));
  assert.ok(names.length > 2);
  const tensors = [...openCheckpoint(single).names].sort();
  const embedding = (folder: string): Float32Array => {
    const checkpoint = openCheckpoint(folder);
    assert.deepEqual([...checkpoint.names].sort(), tensors);
    const values = checkpoint.readFloat32('model.embed_tokens.weight');
    checkpoint.close();
    return values;
  };
  const [one, other] = [embedding(single), embedding(sharded)];
  assert.notDeepEqual(one, other);
  // An index that an older save left, with its shards, with some of them, without.
  for (const kept of [names, names.slice(1), names.filter((n) => n.includes('index'))]) {
    const folder = fresh();
    mkdirSync(folder);
    for (const name of ['config.json', 'model.safetensors'])
      copyFileSync(join(single, name), join(folder, name));
    for (const name of kept) copyFileSync(join(sharded, name), join(folder, name));
    assert.deepEqual(embedding(folder), one);
    (await loadModel(be, folder)).dispose();
  }
  // Shards that no index names are nobody's.
  copyFileSync(join(single, 'model.safetensors'), join(sharded, 'model-00009-of-00009.safetensors'));
  assert.deepEqual(embedding(sharded), other);
});

test('a head of its own beside tie_word_embeddings is kept where its values differ, and saved and merged so', async () => {
  const blocks = flatten(randomBlocks([12]));
  const configs = [
    tinyConfig(),
    familyConfig('gemma3_text'),
    familyConfig('falcon'),
    familyConfig('gpt_neox'),
  ];
  for (const config of [...configs, tinyT5({ scale_decoder_outputs: false })]) {
    const apart = await model({ ...config, tie_word_embeddings: false });
    const path = join(apart, 'config.json');
    const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    const isT5 = config['model_type'] === 't5';
    const texts = isT5
      ? flatten(randomBlocks([12]).map((b) => ({ ...b, encoder: { ids: b.ids, segments: b.segments } })))
      : blocks;
    const lossesOf = async (folder: string): Promise<ArrayLike<number>> => {
      const loaded = await loadModel(be, folder);
      const losses = await evaluateLoss(loaded, texts);
      loaded.dispose();
      return losses;
    };
    const wanted = await lossesOf(apart);
    writeFileSync(path, JSON.stringify({ ...json, tie_word_embeddings: true }));
    assert.deepEqual(await lossesOf(apart), wanted);
    const again = fresh();
    const loaded = await loadModel(be, apart, { trainable: true });
    assert.ok(!isTied(loaded));
    await saveModel(loaded, again);
    loaded.dispose();
    assert.deepEqual(await lossesOf(again), wanted);
    // The same values are the same table.
    const checkpoint = openCheckpoint(apart);
    const embedding = ['model.embed_tokens', 'transformer.word_embeddings', 'gpt_neox.embed_in', 'shared']
      .map((name) => `${name}.weight`)
      .find((name) => checkpoint.has(name))!;
    const head = checkpoint.has('lm_head.weight') ? 'lm_head.weight' : 'embed_out.weight';
    const tied = fresh();
    await writeCheckpoint(
      tied,
      checkpoint.names.map((name) => ({
        ...{ name, dtype: 'F32', shape: checkpoint.info(name).shape },
        data: () => checkpoint.read(name === head ? embedding : name).data,
      })),
    );
    checkpoint.close();
    copyFileSync(path, join(tied, 'config.json'));
    const same = await loadModel(be, tied);
    assert.ok(isTied(same));
    same.dispose();
  }
});

test('what is no model that Westwind reads is refused as what it is', async () => {
  const good = await model();
  const config = JSON.parse(readFileSync(join(good, 'config.json'), 'utf8')) as Record<string, unknown>;
  const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4400\n';
  const quantized = (quantization_config: unknown): Record<string, string | null> => ({
    'config.json': JSON.stringify({ ...config, quantization_config }),
  });
  /** Files that stand in the place of the good ones; null: they are not there. */
  const folders: [RegExp, Record<string, string | null>][] = [
    [/model\.safetensors: it is a Git LFS pointer.*git lfs pull/, { 'model.safetensors': POINTER }],
    [/config\.json: it is a Git LFS pointer/, { 'config.json': POINTER }],
    [
      /index\.json: it is a Git LFS pointer/,
      { 'model.safetensors': null, 'model.safetensors.index.json': POINTER },
    ],
    [/quantized by GPTQ/, quantized({ quant_method: 'gptq', bits: 4, group_size: 128 })],
    [/quantized by AWQ/, quantized({ quant_method: 'awq', bits: 4 })],
    [/quantized by FP8,/, quantized({ quant_method: 'fp8', weight_block_size: [128, 128] })],
    [/quantized by FP8 \(fbgemm\)/, quantized({ quant_method: 'fbgemm_fp8' })],
    [/quantized by compressed-tensors/, quantized({ quant_method: 'compressed-tensors', config_groups: {} })],
    [/quantized by bitsandbytes to int8/, quantized({ quant_method: 'bitsandbytes', load_in_8bit: true })],
    [/quantized by bitsandbytes to int8/, quantized({ load_in_8bit: true, load_in_4bit: false })],
    [/quantized by ExLlama/, quantized({ quant_method: 'exl2', bits: 4 })],
    [/quantized by HQQ/, quantized({ quant_method: 'hqq' })],
    [/quantized by "quark"/, quantized({ quant_method: 'quark' })],
    [
      /quantization: .*quantized by MLX/,
      { 'config.json': JSON.stringify({ ...config, quantization: { bits: 4, group_size: 64 } }) },
    ],
    [/only as GGUF files/, { 'model.safetensors': null, 'tiny-q4_k_m.gguf': 'GGUF\x03' }],
    [/only as GGUF files/, { 'model.safetensors': null, 'config.json': null, 'tiny.gguf': 'GGUF\x03' }],
    [/it is a GGUF file/, { 'model.safetensors': 'GGUF\x03\x00\x00\x00' }],
    [/only as pickles/, { 'model.safetensors': null, 'pytorch_model.bin': 'PK' }],
    [/only as pickles/, { 'model.safetensors': null, 'consolidated.00.pth': 'PK' }],
    [/it is a pickle/, { 'model.safetensors': 'PK\x03\x04aaaaaaaaa' }],
    [/only as ONNX files/, { 'model.safetensors': null, 'model.onnx': 'x' }],
    [/quantized by ExLlama/, { 'model.safetensors': null, 'output.safetensors': 'x' }],
    [/weights of MLX/, { 'model.safetensors': null, 'weights.npz': 'PK' }],
    [/TensorFlow's files/, { 'model.safetensors': null, 'tf_model.h5': 'x' }],
    [/Flax's files/, { 'model.safetensors': null, 'flax_model.msgpack': 'x' }],
    [
      /is an adapter, not a model/,
      { 'model.safetensors': null, 'config.json': null, 'adapter_config.json': '{}' },
    ],
    [/neither model\.safetensors nor/, { 'model.safetensors': null }],
    [/config\.json does not exist/, { 'config.json': null }],
  ];
  for (const [what, files] of folders) {
    const folder = fresh();
    mkdirSync(folder);
    for (const name of readdirSync(good)) copyFileSync(join(good, name), join(folder, name));
    for (const [name, text] of Object.entries(files)) {
      rmSync(join(folder, name), { force: true });
      if (text !== null) writeFileSync(join(folder, name), text, 'latin1');
    }
    await fails(() => loadModel(be, folder), what);
    await fails(async () => loadModel(be, await resolveModel(folder)), what);
    await fails(() => mergeAdapter(be, folder, good, fresh()), what);
  }
  // What bitsandbytes calls four bits, and nothing at all, is no such thing.
  for (const quantization_config of [null, {}, { quant_method: 'bitsandbytes', load_in_4bit: true }]) {
    writeFileSync(join(good, 'config.json'), JSON.stringify({ ...config, quantization_config }));
    (await loadModel(be, good)).dispose();
  }
  for (const [tensor, how] of [
    ['model.layers.0.self_attn.q_proj.qweight', 'GPTQ or AWQ'],
    ['model.layers.0.self_attn.q_proj.weight_scale', 'compressed-tensors or FP8'],
    ['model.layers.0.self_attn.q_proj.SCB', 'bitsandbytes to int8'],
    ['model.layers.0.self_attn.q_proj.scales', 'MLX'],
    ['model.layers.0.self_attn.q_proj.q_weight', 'ExLlama'],
    ['model.layers.0.self_attn.q_proj.W_q', 'HQQ'],
  ] as const) {
    const folder = fresh();
    await writeCheckpoint(folder, [{ name: tensor, dtype: 'U8', shape: [1], data: new Uint8Array(1) }]);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    await fails(() => loadModel(be, folder), new RegExp(`tensor '${tensor}': .*quantized by ${how}`));
  }
});

test('what is written takes no folder that holds something, and never one that is read', async () => {
  const base = await model();
  const loaded = await loadModel(be, base);
  const adapter = attachLora(loaded, LORA, { seed: 1 });
  const saved = fresh();
  await saveAdapter(adapter, saved, base);
  const link = fresh();
  symlinkSync(base, link);
  const above = fresh();
  symlinkSync(dirname(base), above);
  const writers: Record<string, (out: string, force?: boolean) => Promise<unknown>> = {
    merge: (out, force) => mergeAdapter(be, base, saved, out, { force }),
    'merge of links': (out, force) => mergeAdapter(be, link, saved, out, { force }),
    model: (out, force) => saveModel(loaded, out, { companionsOf: base, ...(force && { force }) }),
    adapter: (out, force) => saveAdapter(adapter, out, base, { force }),
    report: (out, force) =>
      new Promise<void>((done) => {
        writeReport(out, { markdown: '', html: '', tables: {} }, { force });
        done();
      }),
  };
  for (const [name, write] of Object.entries(writers)) {
    const full = fresh();
    mkdirSync(full);
    writeFileSync(join(full, 'notes.txt'), 'mine');
    const there = fresh();
    symlinkSync(full, there);
    for (const out of [full, there])
      await fails(() => write(out), /holds something already \(notes\.txt\).*--force/);
    assert.deepEqual([...bytesOf(full).keys()], ['notes.txt'], name);
    await write(there, true);
    assert.equal(readFileSync(join(full, 'notes.txt'), 'utf8'), 'mine');
    const file = join(full, 'notes.txt');
    await fails(() => write(file), /cannot write .*notes\.txt/);
    if (name === 'report' || name === 'adapter') continue;
    const before = bytesOf(base);
    const outs = [base, link, `${base}/.`, join(above, String(Number(base.slice(scratch.length + 1))))];
    for (const out of outs)
      for (const force of [false, true]) await fails(() => write(out, force), /is the same folder as/);
    assert.deepEqual(bytesOf(base), before, name);
  }
  const kept = bytesOf(saved);
  for (const force of [false, true])
    await fails(() => mergeAdapter(be, base, saved, saved, { force }), /same folder/);
  assert.deepEqual(bytesOf(saved), kept);
  // A report that is there is made anew.
  const report = fresh();
  const files = { markdown: 'a', html: 'b', tables: { 'x.csv': '1' } };
  writeReport(report, files);
  writeReport(report, { ...files, markdown: 'c' });
  assert.equal(readFileSync(join(report, 'report.md'), 'utf8'), 'c');
  adapter.dispose();
  loaded.dispose();
});

test('files that are links are replaced, not written through', async () => {
  const base = await model();
  writeFileSync(join(base, 'tokenizer.json'), '{"of": "base"}');
  const loaded = await loadModel(be, base);
  const adapter = attachLora(loaded, LORA, { seed: 1 });
  const saved = fresh();
  await saveAdapter(adapter, saved, base);
  adapter.dispose();
  loaded.dispose();
  const out = fresh();
  mkdirSync(out);
  for (const name of readdirSync(base)) symlinkSync(join(base, name), join(out, name));
  const before = bytesOf(base);
  await mergeAdapter(be, base, saved, out, { force: true, dtype: 'BF16' });
  assert.deepEqual(bytesOf(base), before);
  assert.match(readFileSync(join(out, 'config.json'), 'utf8'), /"bfloat16"/);
});
