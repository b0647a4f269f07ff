/**
 * Every preset: its runs and settings are those of the study it repeats; and it is planned and dry-run with each model's real shape, a
 * small data set and no weights.
 */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createPlanBackend } from '../../src/backends/select.js';
import { benchShape } from '../../src/experiments/bench/shapes.js';
import {
  configPath,
  loadStudy,
  modelSettings,
  presetModels,
  presetNames,
  type ResolvedTask,
} from '../../src/experiments/config/index.js';
import { planTraining } from '../../src/experiments/plan/training.js';
import { sentences, westwind } from '../cli/support.js';

/** Of each study: runs, and what varies in the trained ones. */
const RUNS: Readonly<Record<string, { readonly runs: number; readonly tuned: number }>> = {
  baselines: { runs: 1, tuned: 0 },
  classification: { runs: 1, tuned: 1 },
  'lora-ablation': { runs: 72, tuned: 72 },
  'sample-ablation': { runs: 24, tuned: 24 },
  summarization: { runs: 6, tuned: 4 },
};

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'westwind-presets-'));
  writeFileSync(join(folder, 'posts.csv'), sentences(240));
  const dialogues = Array.from(
    { length: 24 },
    (_, i) => `"Ann: Tea at ${i}? Ben: Yes!",They have tea at ${i}.`,
  );
  writeFileSync(join(folder, 'dialogues.csv'), ['dialogue,summary', ...dialogues, ''].join('\n'));
  for (const name of Object.keys(presetModels())) {
    const to = join(folder, name);
    mkdirSync(to);
    // Zephyr is Mistral's shape.
    const shape = benchShape(name.startsWith('zephyr') ? 'mistral-7b' : name);
    writeFileSync(join(to, 'config.json'), JSON.stringify(shape.config));
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      copyFileSync(join('test/golden/stories260K', file), join(to, file));
  }
});

after(() => rmSync(folder, { recursive: true }));

/** Settings that put the small data in the place of the hub's. */
function smallData(tasks: readonly string[]): string[] {
  return tasks.flatMap((task) => [
    // One file serves as both here.
    `tasks.${task}.allow_overlap=true`,
    ...['train', 'test'].flatMap((split) => [
      ...[`tasks.${task}.${split}.hub=null`, `tasks.${task}.${split}.split=null`],
      `tasks.${task}.${split}.path=${join(folder, task === 'newsgroups' ? 'posts.csv' : 'dialogues.csv')}`,
    ]),
  ]);
}

test('there is a preset for each study, with a variant of the old ways for each that trains', () => {
  const compat = Object.keys(RUNS).filter((name) => RUNS[name]!.tuned > 0);
  assert.deepEqual(presetNames(), [...Object.keys(RUNS), ...compat.map((name) => `${name}-compat`)].sort());
});

test('settings are the original study’s', () => {
  const origin: Partial<ResolvedTask['training']> = {
    learning_rate: 2e-4,
    lr_scheduler_type: 'constant',
    warmup_ratio: 0.03,
    max_grad_norm: 0.3,
    per_device_train_batch_size: 4,
    gradient_accumulation_steps: 2,
    gradient_checkpointing: true,
    optim: 'paged_adamw_32bit',
    bf16: true,
    max_length: 512,
  };
  for (const preset of presetNames()) {
    const { runs } = loadStudy(configPath(preset));
    const expected = RUNS[preset.replace('-compat', '')]!;
    assert.equal(runs.length, expected.runs, preset);
    const tuned = runs.map(({ config }) => config).filter(({ tasks }) => tasks[0]!.tune);
    assert.equal(tuned.length, expected.tuned, preset);
    const old = preset.endsWith('-compat');
    for (const { weights, tasks } of tuned) {
      const { lora, training, generation, name } = tasks[0]!;
      assert.deepEqual(weights, { dtype: 'auto', quantization: { doubleQuant: true } });
      for (const [key, value] of Object.entries(origin))
        assert.deepEqual(training[key as keyof typeof training], value, `${preset}: ${key}`);
      assert.deepEqual(
        [training.packing, training.completion_only_loss],
        old ? ['concat', false] : ['isolated', true],
      );
      assert.ok(lora !== false && lora.lora_alpha === 16);
      assert.equal(generation.max_new_tokens, name === 'newsgroups' ? 20 : 100);
      if (!preset.startsWith('lora-ablation')) {
        assert.equal(lora.r, name === 'newsgroups' ? 8 : 64);
        assert.equal(training.num_train_epochs, name === 'newsgroups' ? 5 : 1);
        assert.equal(lora.lora_dropout, 0.1);
      }
    }
    for (const { config } of runs) {
      const task = config.tasks[0]!;
      if (!task.tune)
        assert.equal(task.generation.baseline_max_new_tokens, task.name === 'newsgroups' ? 20 : 50);
    }
  }
  const values = (preset: string, of: (task: ResolvedTask) => unknown): unknown[] => [
    ...new Set(loadStudy(configPath(preset)).runs.map(({ config }) => JSON.stringify(of(config.tasks[0]!)))),
  ];
  const lora = (key: 'r' | 'lora_dropout' | 'target_modules') => (task: ResolvedTask) =>
    task.lora && task.lora[key];
  assert.deepEqual(values('lora-ablation', lora('r')), ['2', '4', '8', '16']);
  assert.deepEqual(values('lora-ablation', lora('lora_dropout')), ['0.1', '0.2', '0.5']);
  assert.deepEqual(
    values('lora-ablation', (task) => task.training.num_train_epochs),
    ['2', '5', '10', '20', '30', '50'],
  );
  assert.deepEqual(
    values('sample-ablation', (task) => task.train!.fraction),
    ['0.025', '0.05', '0.1', '0.25', '0.5', '1'],
  );
  for (const preset of ['sample-ablation', 'summarization'])
    assert.deepEqual(
      new Set([
        ...values(preset, lora('target_modules')),
        ...values(preset, (t) => t.training.neftune_noise_alpha),
      ]),
      new Set(['["q_proj","v_proj"]', '".*"', '0', '5']),
    );
});

test('models by short names, one or several', () => {
  assert.deepEqual(modelSettings('llama2-7b'), ['model_name_or_path="meta-llama/Llama-2-7b-hf"']);
  assert.deepEqual(modelSettings('a/b'), ['model_name_or_path="a/b"']);
  assert.throws(() => modelSettings('llama2-7b,flan-t5-base'), /flan-t5-base has settings of its own/);
  const alike = Object.keys(presetModels()).filter((name) => presetModels()[name]!.settings.length === 0);
  const several = loadStudy(configPath('classification'), {
    settings: modelSettings(alike.join(',')),
  });
  assert.equal(several.runs.length, 3 * alike.length);
});

test('Flan-T5 is planned and dry-run: base with every weight trained, large with an adapter', async () => {
  await Promise.all(
    ['flan-t5-base', 'flan-t5-large'].map(async (model) => {
      const settings = [
        ...modelSettings(model).slice(1),
        ...smallData(['dialogues']),
        `output_dir=${join(folder, 'runs')}`,
      ];
      const args = ['run', 'summarization', '--dry-run', '--model', join(folder, model)];
      const { code, stdout, stderr } = await westwind([...args, ...settings.flatMap((s) => ['--set', s])]);
      assert.equal(code, 0, stderr);
      // Without an adapter there are no modules to vary.
      assert.match(stdout, model === 'flan-t5-base' ? /\| 4 runs +\|/ : /\| 6 runs +\|/);
    }),
  );
});

test('every preset is planned and dry-run, with each model’s shape', async () => {
  // A dry run of all models costs too much: each preset has one, in turn; the plan of each model is made in the next test.
  const models = Object.keys(presetModels());
  const presets = presetNames();
  for (let first = 0; first < presets.length; first += 2) {
    await Promise.all(
      presets.slice(first, first + 2).map(async (preset, i) => {
        const tasks = Object.keys(tasksOf(preset));
        const model = models[(first + i) % models.length]!;
        const args = ['run', preset, '--dry-run', '--model', join(folder, model)];
        const settings = [...smallData(tasks), `output_dir=${join(folder, 'runs')}`];
        const { code, stdout, stderr } = await westwind([...args, ...settings.flatMap((s) => ['--set', s])]);
        assert.equal(code, 0, `${preset}: ${stderr}`);
        const { runs } = RUNS[preset.replace('-compat', '')]!;
        assert.match(
          stdout,
          new RegExp(`\\| ${runs} runs? +\\| +\\d+ \\| +\\d+\\.\\d+( too much)? \\| +\\d`),
          preset,
        );
        assert.equal(stdout.match(/^\| (newsgroups|dialogues)/gm)!.length, runs, preset);
      }),
    );
  }
});

function tasksOf(preset: string): Record<string, true> {
  const { runs } = loadStudy(configPath(preset));
  return Object.fromEntries(
    runs.flatMap(({ config }) => config.tasks.map(({ name }) => [name, true as const])),
  );
}

test('a 7B model trains within 24 GB, a 13B model too', async () => {
  for (const [name, limit] of [
    ['mistral-7b', 8],
    ['llama2-13b', 13],
  ] as const) {
    const { config } = loadStudy(configPath('classification')).runs.at(-1)!;
    const task = config.tasks[0]!;
    const row = new Int32Array(512);
    const block = {
      ids: row,
      labels: row,
      positions: row.map((_, i) => i),
      segments: row,
      rows: [0],
    };
    const { peak } = await planTraining(await createPlanBackend('cuda'), {
      model: benchShape(name).config,
      weights: config.weights,
      lora: task.lora,
      training: { ...task.training, gradient_checkpointing: true, paged: true },
      blocks: [block, block, block, block],
    });
    assert.ok(peak < limit * 2 ** 30, `${name}: ${(peak / 2 ** 30).toFixed(2)} GiB`);
  }
});
