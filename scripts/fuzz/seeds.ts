/** Whole files of every kind, small ones, from which damage begins. */

import { copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { createLora } from '../../src/adapters/lora.js';
import { saveAdapter } from '../../src/adapters/peft.js';
import type { Backend } from '../../src/backends/contract.js';
import { EVENTS } from '../../src/experiments/trackers/tensorboard.js';
import { EventFile } from '../../src/experiments/trackers/tfevents.js';
import { writeCheckpoint, writeGguf, type GgufValue } from '../../src/files/index.js';
import { randomModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';
import { saveCheckpoint } from '../../src/train/checkpoint.js';
import { AdamW } from '../../src/train/optimizer.js';
import { writeRun } from '../../test/experiments/report/fixtures.js';
import { familyConfig, tinyConfig, tinyT5 } from '../../test/support/tiny.js';
import { TOKENIZERS } from './tokenizers.js';

const ROOT = resolve(import.meta.dirname, '../..');
const STORIES = join(ROOT, 'test/golden/stories260K');

const TINY = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 32,
};

export const SMALL = tinyConfig(TINY);

export const LORA = {
  ...{ r: 2, lora_alpha: 4, lora_dropout: 0, use_rslora: false },
  target_modules: ['q_proj', 'v_proj'],
};

const TEMPLATE =
  "{% for message in messages %}{% if loop.first and message['role'] != 'user' %}{{ raise_exception('no') }}{% endif %}" +
  "<|{{ message['role'] }}|>{{ message['content'] | trim }}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** Makes a folder a reader below `root`. */
export async function makeSeeds(root: string, backend: Backend): Promise<void> {
  const made = (name: string): string => {
    const folder = join(root, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  };

  const tensors = (['F32', 'F16', 'BF16', 'I64', 'U8', 'BOOL'] as const).map((dtype, i) => ({
    ...{ name: `layer.${i}.weight`, dtype, shape: [2, 3] },
    data: new Uint8Array(6 * { F32: 4, F16: 2, BF16: 2, I64: 8, U8: 1, BOOL: 1 }[dtype]),
  }));
  await writeCheckpoint(made('safetensors'), tensors);
  await writeCheckpoint(made('index'), tensors, { maxShardSize: 40 });

  const keys: readonly (readonly [string, GgufValue])[] = [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.alignment', { type: 'uint32', value: 32 }],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-6 }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: ['<s>', 'a', '\u4e2d'] }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
  ];
  await writeGguf(join(made('gguf'), 'a.gguf'), new Map(keys), [
    { name: 'token_embd.weight', type: 'Q8_0', shape: [3, 32], data: () => new Uint8Array(102) },
    { name: 'output_norm.weight', type: 'F32', shape: [5], data: () => new Uint8Array(20) },
  ]);

  const configs = {
    ...{
      mistral: SMALL,
      t5: tinyT5({ d_model: 16, d_kv: 8, d_ff: 24, num_layers: 1, num_heads: 2, vocab_size: 32 }),
    },
    ...Object.fromEntries(
      ['llama', 'qwen2', 'qwen3', 'gpt_neox', 'falcon', 'gemma3_text'].map((type) => [
        type,
        { ...familyConfig(type), ...TINY },
      ]),
    ),
  };
  for (const [type, config] of Object.entries(configs)) {
    const model = await randomModel(backend, config, { dtype: 'f32' });
    const folder = made(`models/${type}`);
    await saveModel(model, folder);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config, null, 1));
    writeFileSync(
      join(folder, 'generation_config.json'),
      JSON.stringify({ eos_token_id: [2, 3], temperature: 0.7 }),
    );
    if (type === 'mistral') {
      const adapter = createLora(model, LORA, { seed: 1 });
      await saveAdapter(adapter, made('adapter'), 'org/base');
      const optimizer = new AdamW(adapter.parameters, OPTIMIZER);
      optimizer.step = 7;
      await saveCheckpoint(made('checkpoint'), optimizer, {
        ...{ run: 'run', limit: 0 },
        evaluations: [
          { step: 3, figure: 1.5 },
          { step: 6, figure: Number.NaN },
        ],
      });
      optimizer.dispose();
      adapter.dispose();
    }
    model.dispose();
  }

  for (const [name, json] of Object.entries(TOKENIZERS)) {
    const folder = made(`tokenizers/${name}`);
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({
        bos_token: '<s>',
        eos_token: { content: '</s>' },
        add_bos_token: true,
        chat_template: TEMPLATE,
      }),
    );
    writeFileSync(
      join(folder, 'special_tokens_map.json'),
      JSON.stringify({ unk_token: '<unk>', pad_token: null }),
    );
    writeFileSync(
      join(folder, 'config.json'),
      JSON.stringify({ is_encoder_decoder: true, decoder_start_token_id: 0 }),
    );
    writeFileSync(join(folder, 'chat_template.jinja'), TEMPLATE);
  }
  cpSync(STORIES, made('tokenizers/stories'), { recursive: true });

  const yaml = made('yaml');
  for (const folder of ['presets', 'examples'])
    for (const file of readdirSync(join(ROOT, folder)).filter((name) => name.endsWith('.yaml')))
      copyFileSync(join(ROOT, folder, file), join(yaml, file));

  const tables = made('tables');
  const rows = [
    { text: 'a "quoted", text', label: 'x', id: 1 },
    { text: 'two\nlines', label: 'ö', id: 2.5 },
    { text: '', label: '\u4e2d', id: 12345678901234567890n },
  ];
  const json = (row: (typeof rows)[number]): string =>
    JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
  const cell = (value: unknown): string => `"${String(value).replaceAll('"', '""')}"`;
  const csv = (by: string): string =>
    [['text', 'label', 'id'], ...rows.map((row) => Object.values(row).map(cell))]
      .map((line) => line.join(by))
      .join('\n');
  writeFileSync(join(tables, 'a.csv'), csv(','));
  writeFileSync(join(tables, 'a.tsv'), csv('\t'));
  writeFileSync(join(tables, 'a.json'), `[${rows.map(json).join(',')}]`);
  writeFileSync(join(tables, 'b.json'), JSON.stringify({ text: ['a', 'b'], label: [1, null] }));
  writeFileSync(join(tables, 'a.jsonl'), rows.map(json).join('\n'));
  const columnData = [
    { name: 'text', data: ['a', null, 'ö', 'b', 'b'], type: 'STRING' as const },
    { name: 'id', data: [1n, 2n, 3n, 4n, 5n], type: 'INT64' as const },
  ];
  writeFileSync(
    join(made('parquet'), 'a.parquet'),
    Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 3 })),
  );

  writeRun(made('runs'), {
    id: 'tuned',
    checks: { same: { mean: 0.5, interval: { low: 0.25, high: 0.75 }, min: 0.1 } },
  });
  writeRun(made('runs'), { id: 'shot', method: 'zero_shot', kind: 'summarization', task: 'sums', right: 5 });
  writeRun(made('runs'), { id: 'failed', failure: 'out of memory' });
  writeFileSync(join(root, 'runs/failed/running.pid'), '4194305 77');
  writeFileSync(
    join(root, 'runs/tuned/pets/mlflow.json'),
    JSON.stringify({
      tracking_uri: 'http://h',
      experiment_name: 'e',
      run_id: 'r',
      figures: { 'eval/accuracy': 0.5 },
    }),
  );
  writeFileSync(
    join(root, 'runs/tuned/pets/checks-tuned.json'),
    JSON.stringify({
      from: 'x',
      checks: { same: { mean: 1, interval: { low: 1, high: 1 } } },
      rows: [{ row: 0, same: 1 }],
    }),
  );
  const events = new EventFile(join(root, 'runs/tuned/pets', EVENTS));
  for (let step = 1; step <= 3; step++)
    events.append({ wallTime: step, step, scalars: { 'train/loss': 1 / step, 'eval/accuracy': 0.5 } });

  const hub = made('hub/models--org--name');
  const commit = '0123456789abcdef0123456789abcdef01234567';
  mkdirSync(join(hub, 'refs'));
  writeFileSync(join(hub, 'refs/main'), commit);
  cpSync(join(root, 'models/mistral'), join(hub, 'snapshots', commit), { recursive: true });
}

export const OPTIMIZER = {
  weight_decay: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
};
