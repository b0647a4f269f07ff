/** GGUF files as models: what is exported is read back with all its bits, and what is damaged, cut or foreign is told in a line. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Backend } from '../../src/backends/contract.js';
import type { LoadedConfig } from '../../src/experiments/config/index.js';
import { Fingerprinting } from '../../src/experiments/store/fingerprints.js';
import { exportGguf, type FileType } from '../../src/export/gguf/index.js';
import { GgufFile, openCheckpoint, writeGguf, type GgufValue } from '../../src/files/index.js';
import { resolveModel } from '../../src/import/resolve.js';
import { openWeights } from '../../src/models/gguf-weights.js';
import { loadModel, modelLayout } from '../../src/models/load.js';
import { forward, readsByEncoder } from '../../src/models/model.js';
import { linear } from '../../src/ops/linear.js';
import { Pass } from '../../src/ops/pass.js';
import { fromTensorType } from '../../src/quant/ggml/index.js';
import { createPlanBackend } from '../../src/backends/select.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { flatten, modelInput } from '../../src/train/batch.js';
import { UserError } from '../../src/util/errors.js';
import { temporaryFolder } from '../cli/support.js';
import { backend, familyConfig, randomBlocks, randomPairs, tinyConfig, tinyT5 } from '../support/tiny.js';
import { storiesModel } from '../support/stories.js';

const EXAMPLE = resolve(import.meta.dirname, '../../examples/model');
const folder = temporaryFolder();
process.env['WESTWIND_CACHE'] = join(folder, 'cache');

let be: Backend;
before(async () => {
  be = await backend('cpu');
});

const LLAMA3 = {
  ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 32,
};
const MODELS: Readonly<Record<string, Record<string, unknown>>> = {
  llama: tinyConfig({ model_type: 'llama' }),
  'llama3, tied': tinyConfig({ model_type: 'llama', rope_scaling: LLAMA3, tie_word_embeddings: true }),
  'llama, stretched': tinyConfig({ model_type: 'llama', rope_scaling: { rope_type: 'linear', factor: 4 } }),
  'llama with biases': tinyConfig({ model_type: 'llama', attention_bias: true, mlp_bias: true }),
  mistral: tinyConfig({ sliding_window: null }),
  qwen2: familyConfig('qwen2'),
  qwen3: { ...familyConfig('qwen3'), use_sliding_window: false, sliding_window: null },
  gemma3: { ...familyConfig('gemma3_text'), query_pre_attn_scalar: 24 },
  'gemma3 without windows': {
    ...familyConfig('gemma3_text'),
    ...{ query_pre_attn_scalar: 24, layer_types: Array<string>(3).fill('full_attention') },
  },
  gpt_neox: familyConfig('gpt_neox'),
  'gpt_neox in turn': { ...familyConfig('gpt_neox'), use_parallel_residual: false, rotary_pct: 1 },
  'gpt_neox, tied': { ...familyConfig('gpt_neox'), tie_word_embeddings: true },
  falcon: familyConfig('falcon'),
  'falcon of groups': { ...familyConfig('falcon'), new_decoder_architecture: true, num_kv_heads: 2 },
  'falcon of groups, one norm': {
    ...familyConfig('falcon'),
    ...{ new_decoder_architecture: true, num_kv_heads: 2, num_ln_in_parallel_attn: 1 },
  },
  't5 1.1': tinyT5({ relative_attention_max_distance: 128, num_decoder_layers: 1 }),
  // What its last norm is multiplied by is a power of two.
  t5: tinyT5({ relative_attention_max_distance: 128, feed_forward_proj: 'relu', tie_word_embeddings: true }),
};

let count = 0;
const modelFolder = (config: Record<string, unknown>): Promise<string> =>
  storiesModel(be, join(folder, String(count++)), config);

async function exported(path: string, type: FileType = 'F32'): Promise<string> {
  const out = join(folder, `${count++}.gguf`);
  await exportGguf(be, { base: { name: 'model', folder: path }, type, out });
  return out;
}

/** Of all places of some texts. */
async function logits(path: string): Promise<Float32Array> {
  const model = await loadModel(be, path, { dtype: 'f32' });
  const g = new Pass(be, { members: [{ seed: 0, step: 0, pairs: undefined }] });
  const pairs = [
    [30, 20],
    [40, 17],
  ] as const;
  const texts = readsByEncoder(model) ? randomPairs(pairs) : randomBlocks([40, 17]);
  const hidden = forward(model, g, modelInput(g, flatten(texts)));
  const values = await linear(g, hidden, model.head, { output: 'f32' }).toFloat32();
  g.close();
  model.dispose();
  return values;
}

describe('a model that was exported and is read back', () => {
  for (const [name, config] of Object.entries(MODELS))
    it(`${name}: its logits, and exported again the same file`, async () => {
      const path = await modelFolder(config);
      const file = await exported(path);
      const back = await resolveModel(file);
      assert.deepEqual(await logits(back), await logits(path));
      assert.ok(readFileSync(await exported(back)).equals(readFileSync(file)));
    });

  for (const type of ['F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_K_M', 'Q5_K_M', 'Q6_K'] as const)
    it(`${type}: the values of its blocks, under the checkpoint's names`, async () => {
      const wide = { hidden_size: 256, intermediate_size: 256, num_attention_heads: 4 };
      const file = await exported(await modelFolder(tinyConfig({ model_type: 'qwen2', ...wide })), type);
      const gguf = GgufFile.open(file);
      const weights = openWeights(await resolveModel(file));
      assert.equal(weights.names.length, gguf.tensors.size);
      const { type: own, shape } = gguf.info('blk.1.ffn_down.weight');
      const { dtype, shape: found, data } = weights.read('model.layers.1.mlp.down_proj.weight');
      assert.deepEqual(found, shape);
      assert.equal(dtype, type === 'F16' || type === 'BF16' ? type : 'F32');
      const values = fromTensorType(dtype, data);
      assert.deepEqual(values, fromTensorType(own, gguf.read('blk.1.ffn_down.weight')));
      weights.close();
      gguf.close();
      const model = await loadModel(be, await resolveModel(file), { quantization: { doubleQuant: true } });
      model.dispose();
    });

  it("the example's tokens of texts, its special tokens, its card", async () => {
    const back = await resolveModel(await exported(EXAMPLE, 'F16'));
    const [a, b] = [Tokenizer.load(EXAMPLE), Tokenizer.load(back)];
    const texts = readFileSync(resolve(EXAMPLE, '../../README.md'), 'utf8').split('\n\n');
    for (const text of [...texts, ' a  b\t\n', '\u65e5\u672c \u{1f642}</s>x', '']) {
      const ids = a.encode(text);
      assert.deepEqual(b.encode(text), ids, text);
      assert.equal(b.decode([...ids]), a.decode([...ids]));
    }
    for (const id of ['bosId', 'eosId', 'unkId', 'padId'] as const) assert.equal(b[id], a[id]);
  });

  it('a tokenizer of likelihoods: its tokens, its end, and the same file again', async () => {
    const path = await modelFolder(MODELS['t5']!);
    const words = ['\u2581the', '\u2581cat', '\u2581', 'at', '\u2581c', 's'];
    const letters = Array.from('abcdehlortuw');
    const vocab = ['<pad>', '</s>', '<unk>', ...words, ...letters].map((token, id) => [
      token,
      id < 3 ? 0 : -Math.fround(1.5 + id / 7),
    ]);
    const spaces = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always' };
    const special = (id: number): object => ({
      ...{ id, content: vocab[id]![0], single_word: false, lstrip: false, rstrip: false },
      ...{ normalized: false, special: true },
    });
    const end = { id: '</s>', type_id: 0 };
    const tokenizer = {
      added_tokens: [0, 1, 2].map(special),
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, spaces] },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: end }],
        pair: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: end }],
        special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
      },
      decoder: spaces,
      model: { type: 'Unigram', unk_id: 2, vocab, byte_fallback: false },
    };
    writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tokenizer));
    const names = { eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };
    writeFileSync(join(path, 'tokenizer_config.json'), JSON.stringify(names));
    const file = await exported(path);
    const back = await resolveModel(file);
    const [a, b] = [Tokenizer.load(path), Tokenizer.load(back)];
    assert.deepEqual(a.encode('the cats'), [3, 4, 8, 1]);
    for (const text of ['the cats', '  the   cat\tsat ', 'two words zz the', '</s>the', '', 'x'])
      assert.deepEqual(b.encode(text), a.encode(text), text);
    assert.equal(b.decode(a.encode('the cats')), 'the cats');
    assert.deepEqual([b.eosId, b.padId, b.unkId, b.decoderStartId], [1, 0, 2, 0]);
    assert.ok(readFileSync(await exported(back)).equals(readFileSync(file)));
  });

  it('a layout, as plans ask for it, reads no weights', async () => {
    const back = await resolveModel(await exported(await modelFolder(MODELS['gemma3']!), 'Q8_0'));
    const model = await modelLayout(await createPlanBackend('reference'), back);
    assert.ok(model.linears.has('model.layers.2.self_attn.q_proj'));
    model.dispose();
  });

  it('a file that has changed is another model', async () => {
    const path = await modelFolder(MODELS['llama']!);
    const file = await exported(path);
    const first = await resolveModel(file);
    assert.equal(await resolveModel(file), first);
    await exportGguf(be, { base: { name: 'model', folder: path }, type: 'F16', out: file, force: true });
    const second = await resolveModel(file);
    assert.notEqual(second, first);
    const hash = async (model: string): Promise<string> => {
      const loaded = { config: { tasks: [] } } as unknown as LoadedConfig;
      return (await new Fingerprinting(model, be).of(loaded)).model;
    };
    const copy = join(folder, 'copy.gguf');
    copyFileSync(file, copy);
    assert.equal(await hash(await resolveModel(copy)), await hash(second));
    const other = readFileSync(copy);
    other[other.length - 40]! ^= 1;
    writeFileSync(copy, other);
    assert.notEqual(await hash(await resolveModel(copy)), await hash(second));
  });

  it('llama.cpp has no key for 1e-5: it is the decimal again', async () => {
    const back = await resolveModel(await exported(await modelFolder(MODELS['llama']!)));
    const config = JSON.parse(readFileSync(join(back, 'config.json'), 'utf8')) as { rms_norm_eps: number };
    assert.equal(config.rms_norm_eps, 1e-5);
  });
});

/** The byte-level alphabet's letters stand for themselves. */
const TOKENS = [
  'a',
  'b',
  'c',
  '1',
  '2',
  '\u0120',
  'ab',
  '\u0120a',
  '12',
  '<|im_end|>',
  '<|endoftext|>',
  'x y',
];

describe('a byte-level tokenizer', () => {
  const keys = (more: Readonly<Record<string, GgufValue>> = {}): Record<string, GgufValue> => ({
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: 'qwen2' },
    'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: TOKENS },
    'tokenizer.ggml.token_type': {
      ...{ type: 'array', of: 'int32' },
      value: TOKENS.map((_, i) => (i < 9 ? 1 : i < 11 ? 3 : 4)),
    },
    'tokenizer.ggml.merges': { type: 'array', of: 'string', value: ['a b', '\u0120 a', '1 2'] },
    'tokenizer.ggml.eos_token_id': { type: 'uint32', value: 10 },
    'tokenizer.chat_template': { type: 'string', value: '{{ messages[0].content }}' },
    ...more,
  });
  async function withKeys(own: Readonly<Record<string, GgufValue>>): Promise<string> {
    const gguf = GgufFile.open(await exported(await modelFolder(MODELS['llama']!)));
    const kept = [...gguf.metadata].filter(([key]) => !key.startsWith('tokenizer.'));
    const out = join(folder, `${count++}.gguf`);
    const tensors = [...gguf.tensors].map(([name, { type, shape }]) => ({
      ...{ name, type, shape },
      data: () => gguf.read(name),
    }));
    await writeGguf(out, new Map([...kept, ...Object.entries(own)]), tensors);
    gguf.close();
    return out;
  }

  it('cuts by its name, merges by rank, finds added tokens, begins as the file says', async () => {
    const plain = Tokenizer.load(await resolveModel(await withKeys(keys())));
    const ids = (tokenizer: Tokenizer, text: string): string[] =>
      Array.from(tokenizer.encode(text), (id) => TOKENS[id]!);
    // 'a b' comes before '\u0120 a'; Qwen's pattern takes one digit at a time, so that 12 is never one.
    assert.deepEqual(ids(plain, 'ab ab12<|im_end|>x yc'), [
      ...['ab', '\u0120', 'ab', '1', '2', '<|im_end|>', 'x y', 'c'],
    ]);
    assert.equal(plain.decode([6, 7, 1, 9], { skipSpecialTokens: true }), 'ab ab');
    const flag: GgufValue = { type: 'bool', value: true };
    const llama: GgufValue = { type: 'string', value: 'llama-bpe' };
    const bos: GgufValue = { type: 'uint32', value: 9 };
    const other = Tokenizer.load(
      await resolveModel(
        await withKeys(
          keys({
            ...{ 'tokenizer.ggml.pre': llama, 'tokenizer.ggml.bos_token_id': bos },
            'tokenizer.ggml.add_eos_token': flag,
          }),
        ),
      ),
    );
    assert.deepEqual(ids(other, 'c12'), ['<|im_end|>', 'c', '12', '<|endoftext|>']);
  });

  it("what ends a turn, and the file's chat template", async () => {
    const back = await resolveModel(await withKeys(keys()));
    const generation = readFileSync(join(back, 'generation_config.json'), 'utf8');
    assert.deepEqual((JSON.parse(generation) as { eos_token_id: number[] }).eos_token_id, [10, 9]);
    assert.match(readFileSync(join(back, 'chat_template.jinja'), 'utf8'), /messages/);
  });

  const refused: readonly (readonly [string, RegExp, Readonly<Record<string, GgufValue>>])[] = [
    [
      'a kind',
      /a tokenizer of the kind 'bert', which is not read/,
      { 'tokenizer.ggml.model': { type: 'string', value: 'bert' } },
    ],
    [
      'a pre-tokenizer',
      /its pre-tokenizer 'viking' is not known here; llama-bpe,/,
      { 'tokenizer.ggml.pre': { type: 'string', value: 'viking' } },
    ],
    [
      'a merge',
      /the merge "a z" is not of tokens/,
      { 'tokenizer.ggml.merges': { type: 'array', of: 'string', value: ['a z'] } },
    ],
    [
      'kinds',
      /tokens has 12, token_type 1,/,
      { 'tokenizer.ggml.token_type': { type: 'array', of: 'int32', value: [1] } },
    ],
    [
      'twins',
      /the tokens 0 and 1 are both "a"/,
      {
        'tokenizer.ggml.tokens': {
          type: 'array',
          of: 'string',
          value: TOKENS.map((t, i) => (i === 1 ? 'a' : t)),
        },
      },
    ],
    [
      'tokens of numbers',
      /tokenizer.ggml.tokens is no list of string/,
      { 'tokenizer.ggml.tokens': { type: 'array', of: 'int32', value: [1] } },
    ],
    [
      'parts',
      /it is one of 3 parts, which are not read: join them by 'llama-gguf-split --merge'/,
      { 'split.count': { type: 'uint16', value: 3 } },
    ],
    [
      'an adapter',
      /it holds a model's adapter, not a model/,
      { 'general.type': { type: 'string', value: 'adapter' } },
    ],
    [
      'an architecture',
      /the architecture 'mamba' is not read from GGUF; Westwind reads/,
      { 'general.architecture': { type: 'string', value: 'mamba' } },
    ],
    [
      'experts',
      /llama.expert_count is 8: a mixture of experts, which is not read/,
      { 'llama.expert_count': { type: 'uint32', value: 8 } },
    ],
    [
      'a rotation',
      /its rotation is scaled by 'yarn'/,
      { 'llama.rope.scaling.type': { type: 'string', value: 'yarn' } },
    ],
    [
      'text for a number',
      /the key llama.block_count is no number/,
      { 'llama.block_count': { type: 'string', value: 'two' } },
    ],
    [
      'too few layers',
      /tensor "blk.1.\w+.weight" is nothing that a model of the architecture 'llama' has here/,
      { 'llama.block_count': { type: 'uint32', value: 1 } },
    ],
    [
      'too many layers',
      /tensor 'model.layers.2.\S+' is missing/,
      { 'llama.block_count': { type: 'uint32', value: 3 } },
    ],
    [
      'a size',
      /gguf: tensor .* has shape \[512, 64\], but config.json asks for \[512, 60\]/,
      { 'llama.embedding_length': { type: 'uint32', value: 60 } },
    ],
  ];
  for (const [what, message, own] of refused)
    it(`refuses ${what}`, async () => {
      const path = await withKeys(keys(own));
      await assert.rejects(
        async () => loadModel(be, await resolveModel(path)),
        (error) => error instanceof UserError && message.test(error.message) && !error.message.includes('\n'),
      );
    });
});

describe('names that are no such file', () => {
  it('a missing one, a folder of GGUF files', async () => {
    await assert.rejects(resolveModel(join(folder, 'none.gguf')), /none\.gguf does not exist/);
    const path = join(folder, 'files');
    mkdirSync(path);
    writeFileSync(join(path, 'x-q4.gguf'), 'GGUF');
    await assert.rejects(resolveModel(path), /only as GGUF files: name the file itself, such as x-q4\.gguf/);
  });
});

describe('a damaged file', () => {
  it('cut or with other bytes is a model or a line, never anything else', async () => {
    const path = await exported(await modelFolder(MODELS['llama']!), 'Q8_0');
    const whole = readFileSync(path);
    const header = whole.indexOf('blk.1.ffn_down.weight') + 64;
    const bad = join(folder, 'bad.gguf');
    const at = fc.oneof(fc.nat(header), fc.nat(whole.length - 1));
    await fc.assert(
      fc.asyncProperty(
        fc.option(at),
        fc.array(fc.tuple(at, fc.oneof(fc.nat(255), fc.constantFrom(0xff, 0x7f, 0x80, 0))), { maxLength: 4 }),
        async (end, changes) => {
          const bytes = Buffer.from(whole.subarray(0, end ?? undefined));
          for (const [i, byte] of changes) if (i < bytes.length) bytes[i] = byte;
          writeFileSync(bad, bytes);
          try {
            const back = await resolveModel(bad);
            (await loadModel(be, back)).dispose();
            Tokenizer.load(back);
          } catch (error) {
            assert.ok(error instanceof UserError, String((error as Error).stack));
            assert.ok(!error.message.includes('\n'), error.message);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('weights of a folder', () => {
  it('safetensors come first, whatever else lies there', async () => {
    const path = await modelFolder(MODELS['llama']!);
    writeFileSync(join(path, 'weights.gguf'), 'not one');
    const weights = openWeights(path);
    const base = openCheckpoint(path);
    assert.deepEqual(weights.names, base.names);
    weights.close();
    base.close();
  });
});
