/** Models as GGUF files: names, shapes and keys, the order of rows, adapters, and what is refused. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { attachLora } from '../../../src/adapters/lora.js';
import { mergeAdapter } from '../../../src/adapters/merge.js';
import { saveAdapter } from '../../../src/adapters/peft.js';
import type { Backend } from '../../../src/backends/contract.js';
import { exportAdapterGguf, exportGguf, type FileType } from '../../../src/export/gguf/index.js';
import { exportOllama } from '../../../src/export/ollama/index.js';
import { GgufFile, openCheckpoint } from '../../../src/files/index.js';
import { loadModel } from '../../../src/models/load.js';
import { fromTensorType } from '../../../src/quant/ggml/index.js';
import { UserError } from '../../../src/util/errors.js';
import { temporaryFolder } from '../../cli/support.js';
import { backend, familyConfig, tinyConfig, tinyT5 } from '../../support/tiny.js';
import { STORIES, STORIES_VOCAB, storiesModel } from '../../support/stories.js';

const folder = temporaryFolder();
let be: Backend;
before(async () => {
  be = await backend('cpu');
});

let count = 0;
/** A random model's folder, with the tokenizer of test/golden. */
const modelFolder = (config: Record<string, unknown>): Promise<string> =>
  storiesModel(be, join(folder, String(count++)), config);

async function exported(path: string, type: FileType = 'F32', adapter?: string): Promise<GgufFile> {
  const out = join(folder, `${count++}.gguf`);
  await exportGguf(be, { base: { name: path, folder: path }, type, out, adapter });
  return GgufFile.open(out);
}

const values = (file: GgufFile, name: string): Float32Array =>
  fromTensorType(file.tensors.get(name)!.type, file.read(name));
const key = (file: GgufFile, name: string): unknown => file.metadata.get(name)?.value;

/** Rows in another order. */
function rows(x: Float32Array, n: number, order: (row: number) => number): Float32Array {
  const cols = x.length / n;
  return Float32Array.from(x, (_, i) => x[order(Math.floor(i / cols)) * cols + (i % cols)]!);
}

describe('a model as GGUF', () => {
  it('llama: keys, names, and the rows of queries and keys by neighbours', async () => {
    const path = await modelFolder(tinyConfig({ model_type: 'llama' }));
    const file = await exported(path);
    assert.deepEqual(
      ['general.architecture', 'general.file_type', 'llama.block_count', 'llama.attention.head_count_kv'].map(
        (k) => key(file, k),
      ),
      ['llama', 0, 2, 2],
    );
    const shapes = [...file.tensors].map(([name, { shape }]) => [name, shape] as const);
    assert.deepEqual(
      new Map(shapes.filter(([name]) => !name.startsWith('blk.1'))),
      new Map<string, readonly number[]>([
        ['token_embd.weight', [STORIES_VOCAB, 64]],
        ['output.weight', [STORIES_VOCAB, 64]],
        ['output_norm.weight', [64]],
        ['blk.0.attn_norm.weight', [64]],
        ['blk.0.attn_q.weight', [64, 64]],
        ['blk.0.attn_k.weight', [32, 64]],
        ['blk.0.attn_v.weight', [32, 64]],
        ['blk.0.attn_output.weight', [64, 64]],
        ['blk.0.ffn_norm.weight', [64]],
        ['blk.0.ffn_gate.weight', [128, 64]],
        ['blk.0.ffn_up.weight', [128, 64]],
        ['blk.0.ffn_down.weight', [64, 128]],
      ]),
    );
    const base = openCheckpoint(path);
    const k = base.readFloat32('model.layers.1.self_attn.k_proj.weight');
    // A head has 16 rows: its first half's and its second half's, by turns.
    const turned = rows(k, 32, (row) => (row & 16) + (row % 2) * 8 + ((row & 15) >> 1));
    assert.deepEqual(values(file, 'blk.1.attn_k.weight'), turned);
    assert.deepEqual(
      values(file, 'blk.1.attn_v.weight'),
      base.readFloat32('model.layers.1.self_attn.v_proj.weight'),
    );
    base.close();
    file.close();
  });

  it('gemma3: norms with their 1, no head, the windows', async () => {
    const path = await modelFolder({ ...familyConfig('gemma3_text'), query_pre_attn_scalar: 24 });
    const file = await exported(path);
    const base = openCheckpoint(path);
    const norm = base.readFloat32('model.layers.0.post_feedforward_layernorm.weight');
    assert.deepEqual(
      values(file, 'blk.0.post_ffw_norm.weight'),
      norm.map((x) => x + 1),
    );
    assert.equal(file.tensors.has('output.weight'), false);
    assert.deepEqual(
      ['attention.sliding_window', 'attention.sliding_window_pattern', 'rope.freq_base_swa'].map((k) =>
        key(file, `gemma3.${k}`),
      ),
      [6, 2, 10000],
    );
    base.close();
    file.close();
  });

  it('falcon and gpt_neox: queries, keys and values apart', async () => {
    for (const [config, name, heads] of [
      [
        { ...familyConfig('falcon'), new_decoder_architecture: true, num_kv_heads: 2 },
        'transformer.h.0.self_attention',
        2,
      ],
      [familyConfig('gpt_neox'), 'gpt_neox.layers.0.attention', 4],
    ] as const) {
      const path = await modelFolder(config);
      const file = await exported(path);
      const base = openCheckpoint(path);
      const fused = base.readFloat32(`${name}.query_key_value.weight`);
      const wanted: number[] = [];
      const queries = 4 / heads;
      const group = (queries + 2) * 16 * 64;
      for (let h = 0; h < 4; h++)
        for (let i = 0; i < 16 * 64; i++)
          wanted.push(fused[Math.floor(h / queries) * group + (h % queries) * 16 * 64 + i]!);
      for (const part of [0, 1])
        for (let g = 0; g < heads; g++)
          for (let i = 0; i < 16 * 64; i++) wanted.push(fused[g * group + (queries + part) * 16 * 64 + i]!);
      assert.deepEqual(values(file, 'blk.0.attn_qkv.weight'), Float32Array.from(wanted));
      base.close();
      file.close();
    }
  });

  it('t5: two stacks, and the scale before a tied head in the last norm', async () => {
    const path = await modelFolder(
      tinyT5({
        ...{ relative_attention_max_distance: 128, num_decoder_layers: 1 },
        ...{ feed_forward_proj: 'relu', tie_word_embeddings: true },
      }),
    );
    const file = await exported(path, 'F16');
    const attention = (at: string): string[] => ['norm', 'q', 'k', 'v', 'o'].map((part) => `${at}_${part}`);
    const mlp = ['ffn_norm', 'ffn_up', 'ffn_down'];
    assert.deepEqual(
      [...file.tensors.keys()].sort(),
      [
        ...['token_embd', 'enc.output_norm', 'dec.output_norm'],
        ...['enc.blk.0.attn_rel_b', 'dec.blk.0.attn_rel_b'],
        ...[0, 1].flatMap((i) => [...attention('attn'), ...mlp].map((name) => `enc.blk.${i}.${name}`)),
        ...[...attention('attn'), ...attention('cross_attn'), ...mlp].map((name) => `dec.blk.0.${name}`),
      ]
        .map((name) => `${name}.weight`)
        .sort(),
    );
    const base = openCheckpoint(path);
    assert.deepEqual(
      values(file, 'dec.output_norm.weight'),
      base.readFloat32('decoder.final_layer_norm.weight').map((x) => x / 8),
    );
    assert.deepEqual(
      values(file, 'enc.output_norm.weight'),
      base.readFloat32('encoder.final_layer_norm.weight'),
    );
    const table = file.tensors.get('dec.blk.0.attn_rel_b.weight')!;
    assert.deepEqual([table.type, table.shape], ['F32', [8, 4]]);
    const keys = ['block_count', 'decoder_block_count', 'attention.key_length', 'scale_decoder_outputs'];
    assert.deepEqual(
      keys.map((k) => key(file, `t5.${k}`)),
      [2, 1, 16, false],
    );
    base.close();
    file.close();
  });

  it('the tokenizer: scores by the order of merges, kinds, special tokens', async () => {
    const file = await exported(await modelFolder(tinyConfig({ model_type: 'llama' })));
    const tokens = key(file, 'tokenizer.ggml.tokens') as string[];
    const scores = key(file, 'tokenizer.ggml.scores') as number[];
    const kinds = key(file, 'tokenizer.ggml.token_type') as number[];
    const json = JSON.parse(readFileSync(join(STORIES, 'tokenizer.json'), 'utf8')) as {
      model: { merges: (string | string[])[] };
    };
    const made = json.model.merges.map((m) => (typeof m === 'string' ? m.replace(' ', '') : m.join('')));
    const order = [...new Set(made)].map((token) => scores[tokens.indexOf(token)]!);
    assert.deepEqual(
      order,
      order.map((_, i) => (i === 0 ? order[0] : -i)),
    );
    assert.deepEqual([kinds[0], kinds[1], kinds[3], kinds[300], tokens[3]], [2, 3, 6, 1, '<0x00>']);
    assert.deepEqual(
      ['bos_token_id', 'eos_token_id', 'add_bos_token', 'add_eos_token', 'add_space_prefix'].map((k) =>
        key(file, `tokenizer.ggml.${k}`),
      ),
      [1, 2, true, false, true],
    );
    file.close();
  });

  it('an adapter is merged, as westwind merge does it', async () => {
    const path = await modelFolder(tinyConfig({ model_type: 'llama' }));
    const model = await loadModel(be, path);
    const lora = attachLora(
      model,
      { r: 2, lora_alpha: 4, lora_dropout: 0, use_rslora: false, target_modules: ['v_proj', 'down_proj'] },
      { seed: 1 },
    );
    for (const { value } of lora.parameters) {
      const numbers = Float32Array.from({ length: value.length }, (_, k) => Math.sin(k) / 9);
      be.upload(new Uint8Array(numbers.buffer), value);
    }
    const [adapter, merged] = [join(folder, 'adapter'), join(folder, 'merged')];
    await saveAdapter(lora, adapter, path);
    lora.dispose();
    model.dispose();
    await mergeAdapter(be, path, adapter, merged, { dtype: 'F32' });
    const [file, base] = [await exported(path, 'F32', adapter), openCheckpoint(merged)];
    const wanted = base.readFloat32('model.layers.0.mlp.down_proj.weight');
    assert.deepEqual(values(file, 'blk.0.ffn_down.weight'), wanted);
    base.close();
    file.close();
    const out = join(folder, 'adapter.gguf');
    await exportAdapterGguf({ base: { name: path, folder: path }, type: 'F16', out, adapter });
    const own = GgufFile.open(out);
    assert.deepEqual(
      ['general.type', 'adapter.type', 'adapter.lora.alpha', 'general.architecture'].map((k) => key(own, k)),
      ['adapter', 'lora', 4, 'llama'],
    );
    const shapes = [...own.tensors].map(([name, { shape }]) => [name, ...shape]);
    assert.deepEqual(shapes.slice(0, 2), [
      ['blk.0.attn_v.weight.lora_a', 2, 64],
      ['blk.0.attn_v.weight.lora_b', 32, 2],
    ]);
    own.close();
    const again = { base: { name: path, folder: path }, out: join(folder, 'other.gguf') };
    await assert.rejects(
      exportAdapterGguf({ ...again, adapter, type: 'Q8_0' }),
      /f32, f16 or bf16, not q8_0/,
    );
    await assert.rejects(exportAdapterGguf({ ...again, type: 'F16' }), /is no adapter/);
  });
});

describe('what is refused', () => {
  const refused: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    [
      'distances of T5',
      tinyT5(),
      /relative_attention_max_distance is 20, which llama\.cpp's architecture has not/,
    ],
    [
      "a decoder that is longer than T5's encoder",
      tinyT5({ relative_attention_max_distance: 128, num_decoder_layers: 3 }),
      /the decoder has more layers than the encoder/,
    ],
    [
      'ALiBi',
      { ...familyConfig('falcon'), alibi: true },
      /alibi is true, which llama.cpp's architecture has not/,
    ],
    ['windows of Qwen', familyConfig('qwen3'), /use_sliding_window is true/],
    ["Gemma's other scale", familyConfig('gemma3_text'), /query_pre_attn_scalar is not 24/],
  ];
  for (const [what, config, message] of refused)
    it(what, async () => {
      const path = await modelFolder(config);
      await assert.rejects(exported(path), (e) => e instanceof UserError && message.test(e.message));
    });

  /** The tokenizer's file with something else in it. */
  async function withTokenizer(change: (json: Record<string, unknown>) => void): Promise<string> {
    const path = await modelFolder(tinyConfig({ model_type: 'llama' }));
    const json = JSON.parse(readFileSync(join(path, 'tokenizer.json'), 'utf8')) as Record<string, unknown>;
    change(json);
    writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(json));
    return path;
  }

  it('a byte-level tokenizer that llama.cpp does not know, with its hash', async () => {
    const path = await withTokenizer((json) => {
      Object.assign(json['model'] as object, { byte_fallback: false });
      Object.assign(json, {
        normalizer: null,
        pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      });
    });
    await assert.rejects(exported(path), /pre-tokenizer, of hash [0-9a-f]{64}, is not known to llama\.cpp/);
  });

  it('a model with an encoder for Ollama, which has none', async () => {
    const path = await modelFolder(tinyT5({ relative_attention_max_distance: 128 }));
    const out = join(folder, 'ollama');
    await assert.rejects(
      exportOllama(be, { base: { name: path, folder: path }, type: 'F16', out }),
      /config\.json: Ollama runs no model with an encoder; llama\.cpp takes it, by --to gguf/,
    );
  });

  it('a normalizer that llama.cpp does not have', async () => {
    const path = await withTokenizer((json) => Object.assign(json, { normalizer: { type: 'Lowercase' } }));
    await assert.rejects(exported(path), /llama\.cpp has nothing like its Lowercase/);
  });

  it('a vocabulary larger than the embedding', async () => {
    const path = await modelFolder(tinyConfig({ model_type: 'llama' }));
    const config = JSON.parse(readFileSync(join(path, 'tokenizer_config.json'), 'utf8')) as object;
    const more = { ...config, additional_special_tokens: ['<new>'] };
    writeFileSync(join(path, 'tokenizer_config.json'), JSON.stringify(more));
    await assert.rejects(exported(path), /tokens up to 512, but the model's embedding has 512 rows/);
  });
});
