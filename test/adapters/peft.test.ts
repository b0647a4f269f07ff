/** Adapter folders as PEFT writes them and as they should not be: what is read is used, in loading and merging alike. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { mergeAdapter } from '../../src/adapters/merge.js';
import { loadAdapter, readAdapter, saveAdapter } from '../../src/adapters/peft.js';
import type { Backend } from '../../src/backends/contract.js';
import { openCheckpoint, writeCheckpoint, writeSafetensors, DTYPE_BYTES } from '../../src/files/index.js';
import { generate } from '../../src/generate/generate.js';
import { scoreContinuations } from '../../src/generate/score.js';
import { isTied, type CausalLM } from '../../src/models/model.js';
import { loadModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss, forwardBackward } from '../../src/train/step.js';
import { Tensor } from '../../src/tensor/tensor.js';
import { messageOf, UserError } from '../../src/util/errors.js';
import {
  backend,
  familyConfig,
  randomBlocks,
  tinyConfig,
  tinyModel,
  tinyT5,
  VOCAB,
} from '../support/tiny.js';

const HIDDEN = 64;
const EMBEDDING = 'model.embed_tokens';
const HEAD = 'lm_head';
const blocks = flatten(randomBlocks([15, 9]));

let folder: string;
let be: Backend;
/** The base's folders. */
const untied = (): string => join(folder, 'untied');
const tied = (): string => join(folder, 'tied');

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  be = await backend();
  for (const [path, tie] of [
    [untied(), false],
    [tied(), true],
  ] as const) {
    const model = await tinyModel(
      be,
      { seed: 5 },
      tinyConfig({ tie_word_embeddings: tie, num_hidden_layers: 1 }),
    );
    await saveModel(model, path);
    model.dispose();
  }
});
after(() => rmSync(folder, { recursive: true }));

/** A function of place alone, so that any two tables can be told apart. */
function numbers(n: number, seed: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => 0.2 * Math.sin(seed * 13.7 + i * 0.71));
}

type Tensors = Record<string, { shape: number[]; values: Float32Array }>;

function tensor(shape: number[], seed: number): Tensors[string] {
  return {
    shape,
    values: numbers(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  };
}

const CONFIG = {
  peft_type: 'LORA',
  task_type: 'CAUSAL_LM',
  base_model_name_or_path: null,
  r: 4,
  lora_alpha: 8,
  lora_dropout: 0,
  bias: 'none',
  target_modules: ['q_proj'],
  modules_to_save: null as string[] | null,
};

const Q = 'model.layers.0.self_attn.q_proj';
const pair = (module = Q, [out, r, inputs]: [number, number, number] = [64, 4, 64]): Tensors => ({
  [`${module}.lora_A.weight`]: tensor([r, inputs], 1),
  [`${module}.lora_B.weight`]: tensor([out, r], 2),
});

let written = 0;
async function writeAdapter(
  tensors: Tensors,
  change: Record<string, unknown> = {},
  prefix = 'base_model.model.',
): Promise<string> {
  const path = join(folder, `adapter-${written++}`);
  mkdirSync(path);
  writeFileSync(join(path, 'adapter_config.json'), JSON.stringify({ ...CONFIG, ...change }));
  await writeSafetensors(
    join(path, 'adapter_model.safetensors'),
    Object.entries(tensors).map(([name, { shape, values }]) => ({
      name: prefix + name,
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(values.buffer),
    })),
  );
  return path;
}

const fresh = (): string => join(folder, `out-${written++}`);

async function lossesOf(path: string): Promise<ArrayLike<number>> {
  const model = await loadModel(be, path);
  const losses = await evaluateLoss(model, blocks);
  model.dispose();
  return losses;
}

async function lossesWith(base: string, adapter: string): Promise<ArrayLike<number>> {
  const model = await loadModel(be, base);
  const before = await evaluateLoss(model, blocks);
  const loaded = loadAdapter(model, adapter);
  const losses = await evaluateLoss(model, blocks);
  loaded.dispose();
  assert.deepEqual(await evaluateLoss(model, blocks), before, 'taken off, the model is the base');
  model.dispose();
  return losses;
}

function close(a: ArrayLike<number>, b: ArrayLike<number>): void {
  Array.from(a).forEach((loss, i) =>
    assert.ok(Math.abs(loss - b[i]!) < 1e-4 * Math.abs(b[i]!), `${loss} for ${b[i]}`),
  );
}

/** The base with these tables and the pair on q_proj, written by hand. */
async function byHand(
  base: string,
  e: Tensors[string] | undefined,
  h: Tensors[string] | undefined,
): Promise<string> {
  const from = openCheckpoint(base);
  const read = (name: string): Tensors[string] => ({
    shape: [...from.info(name).shape],
    values: from.readFloat32(name),
  });
  const all = new Map(from.names.map((name) => [name, read(name)]));
  const embedding = all.get(`${EMBEDDING}.weight`)!;
  all.set(`${HEAD}.weight`, h ?? all.get(`${HEAD}.weight`) ?? embedding);
  all.set(`${EMBEDDING}.weight`, e ?? embedding);
  const { values } = all.get(`${Q}.weight`)!;
  const [a, b] = Object.values(pair()) as [Tensors[string], Tensors[string]];
  const product = values.map((w, at) => {
    const [i, j] = [Math.floor(at / 64), at % 64];
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += b.values[i * 4 + k]! * a.values[k * 64 + j]!;
    return w + 2 * sum;
  });
  all.set(`${Q}.weight`, { shape: [64, 64], values: product });
  from.close();
  const out = fresh();
  await writeCheckpoint(
    out,
    [...all].map(([name, t]) => ({
      name,
      dtype: 'F32',
      shape: t.shape,
      data: new Uint8Array(t.values.slice().buffer),
    })),
  );
  const config = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>;
  const vocab_size = all.get(`${EMBEDDING}.weight`)!.shape[0];
  writeFileSync(
    join(out, 'config.json'),
    JSON.stringify({ ...config, vocab_size, tie_word_embeddings: false }),
  );
  return out;
}

test('tables of the embedding and the head are used in answers and merged, of any size, tied or not', async () => {
  const cases: {
    name: string;
    /** Whose tables the file has, and how it calls them. */
    saved: (e: Tensors[string], h: Tensors[string]) => Tensors;
    change?: Record<string, unknown>;
    /** Whose they are in the end: the file's embedding (e), head (h), or the base's. */
    untied: ['e' | 'h' | 'base', 'e' | 'h' | 'base'];
    tied: ['e' | 'h' | 'base', 'e' | 'h' | 'base'];
    /** Only one is there, so that it cannot have other rows than the base's. */
    same?: 'untied' | 'both';
  }[] = [
    {
      name: 'saved by PEFT itself',
      saved: (e, h) => ({ [`${EMBEDDING}.weight`]: e, [`${HEAD}.weight`]: h }),
      untied: ['e', 'h'],
      tied: ['e', 'h'],
    },
    {
      name: 'the embedding alone',
      saved: (e) => ({ [`${EMBEDDING}.weight`]: e }),
      untied: ['e', 'base'],
      tied: ['e', 'e'],
      same: 'untied',
    },
    {
      name: 'the head alone',
      saved: (_, h) => ({ [`${HEAD}.weight`]: h }),
      untied: ['base', 'h'],
      tied: ['h', 'h'],
      same: 'untied',
    },
    {
      name: 'modules_to_save, both',
      saved: (e, h) => ({ [`${EMBEDDING}.weight`]: e, [`${HEAD}.weight`]: h }),
      change: { modules_to_save: ['embed_tokens', 'lm_head'] },
      untied: ['e', 'h'],
      tied: ['e', 'h'],
    },
    {
      name: 'modules_to_save of the embedding, whose tied head stays the base',
      saved: (e) => ({ [`${EMBEDDING}.weight`]: e }),
      change: { modules_to_save: ['embed_tokens'] },
      untied: ['e', 'base'],
      tied: ['e', 'base'],
      same: 'both',
    },
    {
      name: 'modules_to_save with ensure_weight_tying',
      saved: (e) => ({ [`${EMBEDDING}.weight`]: e }),
      change: { modules_to_save: ['embed_tokens'], ensure_weight_tying: true },
      untied: ['e', 'base'],
      tied: ['e', 'e'],
      same: 'untied',
    },
    {
      name: 'a raw state dict',
      saved: (e, h) => ({
        [`${EMBEDDING}.modules_to_save.default.weight`]: e,
        [`${EMBEDDING}.original_module.weight`]: tensor([VOCAB, HIDDEN], 9),
        [`${HEAD}.modules_to_save.default.weight`]: h,
      }),
      change: { modules_to_save: ['embed_tokens', 'lm_head'] },
      untied: ['e', 'h'],
      tied: ['e', 'h'],
    },
  ];
  for (const { name, saved, change, same, ...ends } of cases) {
    for (const base of ['untied', 'tied'] as const) {
      for (const rows of [VOCAB, VOCAB + 7]) {
        const [e, h] = [tensor([rows, HIDDEN], 3), tensor([rows, HIDDEN], 4)];
        const adapter = await writeAdapter({ ...pair(), ...saved(e, h) }, change);
        const path = base === 'tied' ? tied() : untied();
        if (rows > VOCAB && (same === 'both' || same === base)) {
          await refusedBoth(path, adapter, /the embedding has \d+ rows and the output head \d+/);
          continue;
        }
        const table = { e, h, base: undefined };
        const wanted = await lossesOf(
          await byHand(path, ...(ends[base].map((of) => table[of]) as [typeof e, typeof h])),
        );
        close(await lossesWith(path, adapter), wanted);
        const out = fresh();
        const changed = await mergeAdapter(be, path, adapter, out);
        assert.ok(changed.includes(Q), name);
        close(await lossesOf(out), wanted);
        const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
        assert.equal(config['vocab_size'], rows);
        const together = ends.tied[0] === ends.tied[1];
        assert.equal(config['tie_word_embeddings'], base === 'tied' && together, name);
      }
    }
  }
});

test('tables of a loaded adapter are saved with it', async () => {
  const [e, h] = [tensor([VOCAB + 3, HIDDEN], 3), tensor([VOCAB + 3, HIDDEN], 4)];
  for (const change of [{}, { modules_to_save: ['embed_tokens', 'lm_head'] }]) {
    const adapter = await writeAdapter(
      { ...pair(), [`${EMBEDDING}.weight`]: e, [`${HEAD}.weight`]: h },
      change,
    );
    const model = await loadModel(be, untied());
    const loaded = loadAdapter(model, adapter);
    const losses = await evaluateLoss(model, blocks);
    const again = fresh();
    await saveAdapter(loaded, again, null);
    loaded.dispose();
    model.dispose();
    assert.deepEqual(await lossesWith(untied(), again), losses);
  }
});

test('tables belong to a call, as pairs do', async () => {
  const model = await loadModel(be, untied());
  const more = VOCAB + 7;
  const folders = await Promise.all(
    [1, 2].map((seed) =>
      writeAdapter({
        ...pair(),
        [`${EMBEDDING}.weight`]: tensor([more, HIDDEN], seed),
        [`${HEAD}.weight`]: tensor([more, HIDDEN], seed + 10),
      }),
    ),
  );
  const [one, two] = folders.map((path) => readAdapter(model, path));
  const options = {
    do_sample: false,
    temperature: 1,
    top_p: 1,
    top_k: 0,
    seed: 0,
    stopTokens: [],
    batch_size: 2,
  };
  const prompts = [[5, 9], [VOCAB + 2]].map((ids, index) => ({ index, ids }));
  const answers = async (
    adapter: typeof one | null,
    between = (): void => undefined,
  ): Promise<number[][]> => {
    const tokens: number[][] = [];
    const call = generate(model, adapter ? prompts : prompts.slice(0, 1), {
      ...options,
      max_new_tokens: 8,
      adapter,
    });
    between();
    for await (const answer of call) {
      tokens[answer.index] = [...answer.tokens];
      between();
    }
    return tokens;
  };
  const wanted = await answers(one);
  const base = await answers(null);
  assert.notDeepEqual(wanted[0], base[0]);
  // Another adapter is attached meanwhile, one with other rows; each call keeps its own.
  assert.deepEqual(await answers(one, () => two!.attach()), wanted);
  assert.deepEqual(await answers(null, () => one!.attach()), base);
  two!.detach();
  assert.deepEqual(await evaluateLoss(model, blocks, 'f32', two), await lossesWith(untied(), folders[1]!));
  await assert.rejects(
    evaluateLoss(model, { ...blocks, ids: blocks.ids.map(() => VOCAB + 2) }, 'f32', null),
    /the tokenizer gives token 98/,
  );
  const score = async (adapter: typeof one): Promise<unknown> => {
    const all = [];
    for await (const s of scoreContinuations(model, prompts, [[VOCAB + 1, 4], [6]], {
      batch_size: 2,
      adapter,
    }))
      all.push(s.logLikelihoods);
    return all;
  };
  assert.notDeepEqual(await score(one), await score(two));
  one!.dispose();
  two!.dispose();
  model.dispose();
});

test('adapters with tables of their own are trained side by side as alone', async () => {
  const model = await loadModel(be, untied());
  const seeds = [1, 2];
  const folders = await Promise.all(
    seeds.map((seed) =>
      writeAdapter({
        ...pair(),
        [`${EMBEDDING}.weight`]: tensor([VOCAB + seed, HIDDEN], seed),
        [`${HEAD}.weight`]: tensor([VOCAB + seed, HIDDEN], seed + 10),
      }),
    ),
  );
  const run = async (which: readonly number[]): Promise<Float32Array[]> => {
    const adapters = which.map((i) => readAdapter(model, folders[i]!));
    for (const p of adapters.flatMap((a) => a.parameters)) p.grad = Tensor.zeros(be, p.value.shape);
    const parts = adapters.map(({ pairs }, i) => {
      const batch = flatten(randomBlocks([11 + which[i]!], 40 + which[i]!));
      return { batch, gradScale: 1, seed: 3, pass: 0, neftune_noise_alpha: 0, pairs };
    });
    const asked = await forwardBackward(model, parts, { bf16: false, gradient_checkpointing: false });
    const losses = await Promise.all(asked.map((part) => part.losses));
    const grads = await Promise.all(adapters.flatMap((a) => a.parameters.map((p) => p.grad!.toFloat32())));
    for (const a of adapters) {
      for (const p of a.parameters) p.grad!.release();
      a.dispose();
    }
    return [...losses, ...grads];
  };
  const [both, first, second] = [await run([0, 1]), await run([0]), await run([1])];
  const half = (both.length - 2) / 2;
  assert.deepEqual([both[0], ...both.slice(2, 2 + half)], first);
  assert.deepEqual([both[1], ...both.slice(2 + half)], second);
  model.dispose();
});

test('a pair on a head, its table saved beside it, with rows for added tokens', async () => {
  for (const base of [untied(), tied()]) {
    for (const rows of [VOCAB, VOCAB + 5]) {
      const adapter = await writeAdapter(
        {
          ...pair(HEAD, [rows, 4, HIDDEN]),
          [`${HEAD}.base_layer.weight`]: tensor([rows, HIDDEN], 7),
          [`${EMBEDDING}.weight`]: tensor([rows, HIDDEN], 8),
        },
        { target_modules: ['lm_head'] },
      );
      const losses = await lossesWith(base, adapter);
      const out = fresh();
      await mergeAdapter(be, base, adapter, out);
      close(await lossesOf(out), losses);
    }
  }
});

test('a pair on a tied head is merged into a head of its own, in T5 and Gemma, too', async () => {
  for (const config of [
    tinyConfig({ tie_word_embeddings: true }),
    familyConfig('gemma3_text'),
    tinyT5({ tie_word_embeddings: true }),
  ]) {
    const base = fresh();
    const random = await tinyModel(be, {}, config);
    await saveModel(random, base);
    random.dispose();
    const adapter = await writeAdapter(pair(HEAD, [VOCAB, 4, HIDDEN]), { target_modules: ['lm_head'] });
    const out = fresh();
    await mergeAdapter(be, base, adapter, out);
    const model = await loadModel(be, base);
    const loaded = loadAdapter(model, adapter);
    const merged = await loadModel(be, out);
    assert.ok(isTied(model) && !isTied(merged));
    close(await logits(merged), await logits(model));
    loaded.dispose();
    model.dispose();
    merged.dispose();
  }
});

/** Some logits of a model of any kind. */
async function logits(model: CausalLM): Promise<ArrayLike<number>> {
  const rows = randomBlocks([9]);
  const texts =
    model.config.decoder_start_token_id === undefined
      ? rows
      : rows.map((b) => ({ ...b, encoder: { ids: b.ids, segments: b.segments } }));
  return evaluateLoss(model, flatten(texts));
}

/** Loading and merging refuse a folder for the same reason. */
async function refusedBoth(base: string, adapter: string, why: RegExp): Promise<void> {
  const model = await loadModel(be, base);
  const told: string[] = [];
  try {
    for (const work of [
      () => Promise.resolve(loadAdapter(model, adapter)),
      () => mergeAdapter(be, base, adapter, fresh()),
    ])
      await assert.rejects(
        async () => work(),
        (error) => {
          assert.ok(error instanceof UserError, String(error));
          assert.match(error.message, why);
          assert.ok(!error.message.includes('\n'));
          told.push(error.message);
          return true;
        },
      );
    assert.equal(told[0], told[1]);
  } finally {
    model.dispose();
  }
}

test('every tensor has the shape that model and configuration ask for', async () => {
  const [a, b] = [`${Q}.lora_A.weight`, `${Q}.lora_B.weight`];
  const shapes: [Tensors, RegExp][] = [
    [{ [a]: tensor([64, 4], 1), [b]: tensor([4, 64], 2) }, /lora_A\.weight' has shape \[64, 4\].* \[4, 64\]/],
    [{ [a]: tensor([4, 64, 5], 1), [b]: tensor([64, 4], 2) }, /has shape \[4, 64, 5\]/],
    [{ [a]: tensor([256], 1), [b]: tensor([64, 4], 2) }, /has shape \[256\]/],
    [{ [a]: tensor([8, 64], 1), [b]: tensor([64, 8], 2) }, /has shape \[8, 64\]/],
    [{ [a]: tensor([4, 64], 1), [b]: tensor([32, 4], 2) }, /lora_B\.weight' has shape \[32, 4\]/],
    [{ [a]: tensor([4, 64], 1) }, /lora_B\.weight' is missing/],
    [{ ...pair(), [`${EMBEDDING}.weight`]: tensor([VOCAB, 32], 3) }, /has shape \[96, 32\].*\[rows, 64\]/],
    [{ ...pair(), [`${EMBEDDING}.weight`]: tensor([0, 64], 3) }, /has shape \[0, 64\]/],
  ];
  for (const [tensors, why] of shapes) await refusedBoth(untied(), await writeAdapter(tensors), why);
});

test('what Westwind has not is refused by name, with its value', async () => {
  const refused: [Tensors, Record<string, unknown>, RegExp][] = [
    [{}, { use_dora: true }, /use_dora: true is DoRA/],
    [{}, { bias: 'lora_only' }, /bias: "lora_only" asks for trained biases/],
    [{}, { peft_type: 'IA3' }, /peft_type: "IA3" is not supported/],
    [{}, { lora_bias: true }, /lora_bias: true is a bias of B/],
    [{}, { alora_invocation_tokens: [1, 2] }, /alora_invocation_tokens: \[1,2\] is aLoRA/],
    [
      {},
      { trainable_token_indices: { embed_tokens: [1] } },
      /trainable_token_indices: \{"embed_tokens":\[1\]\}/,
    ],
    [{}, { target_parameters: ['experts.w'] }, /target_parameters: \["experts\.w"\]/],
    [{}, { layer_replication: [[0, 1]] }, /layer_replication/],
    [{}, { use_bdlora: { nblocks: 2 } }, /BD-LoRA/],
    [{}, { use_something: true }, /use_something: true is a variant/],
    [
      {},
      { init_lora_weights: 'pissa_niter_4' },
      /init_lora_weights: "pissa_niter_4" changes the base's weights/,
    ],
    [{}, { init_lora_weights: 'loftq' }, /init_lora_weights: "loftq"/],
    [{}, { modules_to_save: ['norm'] }, /modules_to_save names 'model\.layers\.0\.input_layernorm'/],
    [{}, { modules_to_save: ['self_attn'] }, /modules_to_save names '.*self_attn'/],
    [{}, { modules_to_save: ['lm_head'] }, /lm_head\.weight' is missing/],
    [{}, { r: 0 }, /: r: /],
    [{}, { target_modules: [] }, /target_modules/],
    [{}, { target_modules: 'q_proj', layers_to_transform: [0] }, /go with a list of target_modules/],
    [{}, { layers_pattern: ['layers'] }, /layers_pattern goes with layers_to_transform/],
    [{}, { target_modules: '(' }, /target_modules: "\(" is not a regular expression/],
    [{}, { target_modules: ['constructor'] }, /\["constructor"\] matches no module/],
    [{}, { target_modules: ['__proto__', 'toString'] }, /matches no module/],
    [{ [`${Q}.lora_magnitude_vector`]: tensor([64], 1) }, {}, /lora_magnitude_vector' is of DoRA/],
    [{ [`${Q}.lora_B.bias`]: tensor([64], 1) }, {}, /is a trained bias/],
    [{ [`${Q}.base_layer.weight`]: tensor([64, 64], 1) }, {}, /'.*q_proj\.base_layer\.weight' is none of/],
    [{ [`${EMBEDDING}.lora_embedding_A`]: tensor([4, VOCAB], 1) }, {}, /is of LoRA on the embedding/],
    [
      { [`${EMBEDDING}.lora_embedding_B`]: tensor([64, 4], 1) },
      { target_modules: ['q_proj', 'embed_tokens'] },
      /embed_tokens\.lora_embedding_B' is of LoRA on the embedding; .* merge it by PEFT/,
    ],
    [{}, { target_modules: ['embed_tokens'] }, /\["embed_tokens"\] is the embedding, on which LoRA is not/],
    [{}, { target_modules: '.*embed_tokens' }, /is the embedding, on which LoRA is not supported/],
    [{ [`${EMBEDDING}.original_module.weight`]: tensor([VOCAB, 64], 1) }, {}, /original_module/],
    [{ 'model.norm.weight': tensor([64], 1) }, {}, /model\.norm\.weight' is none of/],
    [{ 'model.layers.0.mlp.up_proj.lora_A.weight': tensor([4, 64], 1) }, {}, /does not have/],
    [{ [`${Q}.lora_A.default.weight`]: tensor([4, 64], 1) }, {}, /are the same one/],
    [{ [`${Q}.lora_A.other.weight`]: tensor([4, 64], 1) }, {}, /lora_A\.other\.weight'/],
  ];
  for (const [more, change, why] of refused)
    await refusedBoth(untied(), await writeAdapter({ ...pair(), ...more }, change), why);
  await refusedBoth(untied(), await writeAdapter(pair(), {}, ''), /is none of LoRA/);
  const pickle = await writeAdapter(pair());
  rmSync(join(pickle, 'adapter_model.safetensors'));
  writeFileSync(join(pickle, 'adapter_model.bin'), 'PK');
  await refusedBoth(untied(), pickle, /adapter_model\.bin is a pickle.*safe_serialization/);
  const mlx = await writeAdapter(pair(), { peft_type: undefined, fine_tune_type: 'lora' });
  await refusedBoth(untied(), mlx, /an adapter of mlx-lm/);
  const pointer = await writeAdapter(pair());
  writeFileSync(
    join(pointer, 'adapter_model.safetensors'),
    'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n',
  );
  await refusedBoth(untied(), pointer, /Git LFS pointer/);
});

test('what says nothing changes nothing', async () => {
  const wanted = await lossesWith(untied(), await writeAdapter(pair()));
  const same: Record<string, unknown>[] = [
    { modules_to_save: [] },
    { layers_to_transform: [] },
    { layers_pattern: [] },
    { exclude_modules: [] },
    { target_parameters: [] },
    { trainable_token_indices: [] },
    { trainable_token_indices: {} },
    { alora_invocation_tokens: [] },
    { layer_replication: [] },
    { rank_pattern: {}, alpha_pattern: {} },
    { loftq_config: {}, eva_config: null, use_dora: false, use_bdlora: null, megatron_core: 'megatron.core' },
    { fan_in_fan_out: true },
    { target_modules: ['q_proj', 'c_attn', 'fc_in', 'constructor'] },
    { modules_to_save: ['classifier', 'score'] },
    { target_modules: '(?i).*\\.Q_PROJ' },
    { target_modules: '(?P<a>model).*q_proj\\Z' },
    { target_modules: ['q_proj', 'k_proj'], exclude_modules: ['k_proj'] },
    { target_modules: ['q_proj', 'k_proj'], exclude_modules: '.*k_pro[j]' },
    { target_modules: ['q_proj'], layers_to_transform: 0 },
    { target_modules: ['q_proj'], layers_to_transform: [0, 5], layers_pattern: 'layers' },
  ];
  for (const change of same)
    assert.deepEqual(
      await lossesWith(untied(), await writeAdapter(pair(), change)),
      wanted,
      JSON.stringify(change),
    );
  const raw = Object.fromEntries(
    Object.entries(pair()).map(([name, t]) => [name.replace('.weight', '.default.weight'), t]),
  );
  assert.deepEqual(await lossesWith(untied(), await writeAdapter(raw)), wanted);
});

test('loading and merging agree on any damaged folder, and end in an adapter or one line', async () => {
  const model = await loadModel(be, untied());
  const whole = { ...pair(), [`${EMBEDDING}.weight`]: tensor([VOCAB, HIDDEN], 3) };
  const shape = fc.oneof(
    fc.constantFrom([64, 4], [4, 64], [4, 64, 1], [256], [], [0, 64], [64, 0], [1, 4, 64], [96, 64]),
    fc.array(fc.nat(70), { maxLength: 4 }),
  );
  const name = fc.oneof(
    fc.constantFrom(
      `${Q}.lora_A.default.weight`,
      `${Q}.lora_A`,
      `${Q}.lora_C.weight`,
      '__proto__',
      'constructor.weight',
      `${HEAD}.weight`,
      `${HEAD}.lora_A.weight`,
      `${EMBEDDING}.base_layer.weight`,
      `${EMBEDDING}.modules_to_save.weight`,
      'lora_A.weight',
    ),
    fc.string({ maxLength: 12 }),
  );
  const value = fc.oneof(
    fc.constantFrom(
      null,
      true,
      false,
      0,
      -1,
      1e999,
      'none',
      'all-linear',
      [],
      {},
      ['q_proj'],
      ['lm_head'],
      '(a+)+',
    ),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const key = fc.oneof(
    fc.constantFrom(
      ...Object.keys(CONFIG),
      'rank_pattern',
      'alpha_pattern',
      'use_rslora',
      'layers_to_transform',
    ),
    fc.constantFrom('exclude_modules', 'layers_pattern', 'fan_in_fan_out', 'ensure_weight_tying', 'use_dora'),
  );
  const mutation = fc.record({
    config: fc.option(fc.tuple(key, value), { freq: 1, nil: undefined }),
    tensor: fc.option(
      fc.tuple(
        fc.nat(2),
        fc.oneof(
          fc.record({ shape }),
          fc.record({ name }),
          fc.record({ dtype: fc.constantFrom('F16', 'BF16', 'F64', 'I64', 'U8', 'BOOL') }),
          fc.record({ drop: fc.constant(true) }),
        ),
      ),
      { freq: 2, nil: undefined },
    ),
  });
  let loads = 0;
  await fc.assert(
    fc.asyncProperty(mutation, async ({ config, tensor: change }) => {
      const path = fresh();
      mkdirSync(path);
      const json = { ...CONFIG, ...(config && { [config[0]]: config[1] }) };
      writeFileSync(join(path, 'adapter_config.json'), JSON.stringify(json));
      const entries = Object.entries(whole).map(([of, t]) => ({
        ...{ name: `base_model.model.${of}`, dtype: 'F32' as const, shape: t.shape },
      }));
      const [at, what] = change ?? [0, {}];
      const { drop, ...fields } = { drop: false, ...what } as Record<string, unknown> & { drop: boolean };
      if (typeof fields['name'] === 'string') fields['name'] = `base_model.model.${fields['name']}`;
      if (drop) entries.splice(at, 1);
      else Object.assign(entries[at]!, fields);
      await writeSafetensors(
        join(path, 'adapter_model.safetensors'),
        entries.map(({ name: of, dtype, shape: sizes }) => ({
          name: of,
          dtype,
          shape: sizes,
          data: new Uint8Array(DTYPE_BYTES[dtype] * sizes.reduce((a, b) => a * b, 1)),
        })),
      );
      const load = await outcome(() => {
        loadAdapter(model, path).dispose();
        return Promise.resolve();
      });
      const merge = await outcome(() => mergeAdapter(be, untied(), path, fresh()));
      assert.equal(merge, load);
      if (load === 'done') loads++;
    }),
    { numRuns: 150 },
  );
  assert.ok(loads > 10, `${loads} of them were good`);
  model.dispose();
});

async function outcome(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'done';
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    return messageOf(error);
  }
}
