/** What the other verbs print and write, on a run's own artefacts. */

import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import { parseConfig } from '../../src/experiments/config/index.js';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { makeJob, makeModel, runFolder, temporaryFolder, westwind, type JobFiles } from './support.js';

let model: string;
let job: JobFiles;
/** The finished run's task. */
let task: string;
let result: TaskResult;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
  job = makeJob(model);
  const { code, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
  task = join(runFolder(job), 'subjects');
  result = JSON.parse(readFileSync(join(task, 'result.json'), 'utf8')) as TaskResult;
});

async function output(args: readonly string[], cwd?: string): Promise<string> {
  const { code, stdout, stderr } = await westwind(args, cwd === undefined ? {} : { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  return stdout;
}

interface Line {
  readonly [name: string]: unknown;
}

function jsonLines(text: string): Line[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

describe('verbs', { concurrency: 2 }, () => {
  it('init writes a valid configuration for each task, and overwrites none unasked', async () => {
    const folder = temporaryFolder();
    for (const name of ['classification', 'summarization', 'custom']) {
      await output(['init', name], folder);
      const [settings] = parseConfig(readFileSync(join(folder, `${name}.yaml`), 'utf8')).tasks;
      assert.equal(settings!.settings.task, name);
    }
    writeFileSync(join(folder, 'mine.yaml'), 'mine');
    const refused = await westwind(['init', 'custom', '-o', 'mine.yaml'], { cwd: folder });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /^westwind: mine\.yaml is there already: .*--force\n$/);
    assert.equal(readFileSync(join(folder, 'mine.yaml'), 'utf8'), 'mine');
    await output(['init', 'custom', '-o', 'mine.yaml', '--force'], folder);
    assert.match(readFileSync(join(folder, 'mine.yaml'), 'utf8'), /task: custom/);
  });

  it('inspect marks what is trained on, the end of the answer included', async () => {
    const text = await output(['inspect', job.config, '--rows', '2']);
    assert.match(text, /### Sentence:The boat is on the sea on day 0\. ### Class:\[\[boat<\/s>\]\]\n/);
    assert.equal(text.match(/\[\[/g)!.length, 2);
    assert.match(
      text,
      /48 rows in \d+ blocks of at most 128 tokens \(packing: isolated\): \d+ tokens, \d+ of them/,
    );
    const coloured = await westwind(['inspect', job.config, '--rows', '1'], {
      env: { NO_COLOR: '', FORCE_COLOR: '1' },
    });
    assert.match(coloured.stdout, /\u001b\[32m/);
    assert.doesNotMatch(coloured.stdout, /\[\[/);
  });

  it('inspect as JSON: each token with its id and text, and rows by their numbers', async () => {
    const [line] = jsonLines(await output(['inspect', job.config, '--row', '5', '--json']));
    const { tokens, trained, row } = line as unknown as {
      row: number;
      trained: number;
      tokens: { id: number; text: string; trained: boolean }[];
    };
    assert.equal(row, 5);
    assert.equal(trained, tokens.filter((t) => t.trained).length);
    const joined = tokens.map((t) => t.text).join('');
    assert.match(joined, /A small cat is in the tree on day 4\. ### Class:cat<\/s>$/);
  });

  it('a run keeps the first rows that it trained on, as inspect shows them', async () => {
    const kept = JSON.parse(readFileSync(join(task, 'inspected.json'), 'utf8')) as { row: number }[];
    assert.equal(new Set(kept.map(({ row }) => row)).size, 5);
    const numbers = kept.map(({ row }) => String(row + 1));
    const shown = jsonLines(await output(['inspect', job.config, '--row', ...numbers, '--json']));
    assert.deepEqual(
      shown,
      kept.map((line) => ({ task: 'subjects', ...line, row: line.row + 1 })),
    );
  });

  it('inspect shows rows that cannot be trained on, then says so', async () => {
    const short = makeJob(model, { 'max_length: 128': 'max_length: 8' });
    const { code, stdout, stderr } = await westwind(['inspect', short.config, '--rows', '1']);
    assert.equal(code, 2);
    assert.match(stdout, /row 1: .* longer than max_length 8/);
    assert.match(stderr, /^westwind: row 1[^\n]+\n$/);
  });

  it("eval gives a run's predictions the figures of its own table", async () => {
    const file = join(task, 'predictions-tuned.jsonl');
    const { metrics } = result.methods.find((m) => m.method === 'tuned')!;
    const score = JSON.parse(await output(['eval', file, '--json'])) as { metrics: Record<string, number> };
    const byAnswers = Object.entries(metrics).filter(([name]) => !name.startsWith('likelihood_'));
    assert.deepEqual(score.metrics, Object.fromEntries(byAnswers));
    const text = await output(['eval', file, '--confusion']);
    const accuracy = (100 * metrics['accuracy']!).toFixed(2);
    assert.match(text, new RegExp(`\\| accuracy +\\| +${accuracy} \\[[\\d.]+, [\\d.]+\\] \\|`));
    assert.match(text, /\| boat +\| +\d+\.\d\d \|/);
    assert.match(text, /\| 1 boat +\|/);
  });

  it('eval scores any table: columns by name, blank answers as none', async () => {
    const folder = temporaryFolder();
    const csv = join(folder, 'summaries.csv');
    writeFileSync(csv, 'gold,ours\nthe cats sat,the cat sat\na dog ran,\n');
    const text = await output([
      ...['eval', csv, '--metric', 'rouge'],
      ...['--reference-column', 'gold', '--prediction-column', 'ours'],
    ]);
    // Two of three words are the same; with stems all three; the second row counts as zero.
    assert.match(text, /\| rouge1 +\| +33\.33 \[0\.00, 66\.67\] \| +50\.00 \[0\.00, 100\.00\] \|/);
    assert.match(text, /2 rows, 1 without an answer/);
    const unnamed = await westwind(['eval', csv]);
    assert.equal(unnamed.code, 2);
    assert.match(unnamed.stderr, /name its metric/);
    writeFileSync(csv, 'reference,answer\n,a\n');
    const empty = await westwind(['eval', csv, '--metric', 'exact_match']);
    assert.match(empty.stderr, /row 1 has an empty reference/);
  });

  it('a merged model answers as the base with its adapter does', async () => {
    const merged = join(temporaryFolder(), 'merged');
    const adapter = join(task, 'adapter');
    assert.match(await output(['merge', adapter, '-o', merged]), /merged 14 modules/);
    assert.ok(readdirSync(merged).includes('tokenizer.json'));
    const prompts = ['-p', 'The red boat went to the sea.', 'Once upon a time', '-n', '24', '--json'];
    const ofMerged = jsonLines(await output(['generate', merged, ...prompts]));
    assert.equal(ofMerged.length, 2);
    // An adapter folder names its base by itself.
    assert.deepEqual(jsonLines(await output(['generate', adapter, ...prompts])), ofMerged);
    const ofBase = jsonLines(await output(['generate', model, ...prompts]));
    assert.notDeepEqual(ofBase, ofMerged);
  });

  it('generate streams one answer, the one that it gives as JSON, and draws by seed', async () => {
    const ask = ['generate', model, '-p', 'A cat', '-n', '12'];
    const [line] = jsonLines(await output([...ask, '--json']));
    assert.equal(await output(ask), `${line!['answer'] as string}\n`);
    const drawn = (seed: string): Promise<string> => output([...ask, '-t', '1.5', '--seed', seed]);
    const [first, again, other] = await Promise.all([drawn('1'), drawn('1'), drawn('2')]);
    assert.equal(again, first);
    assert.notEqual(other, first);
  });

  it('generate --chat answers the conversations of a file by the template, as prompts that are written so', async () => {
    const folder = join(temporaryFolder(), 'chat');
    cpSync(model, folder, { recursive: true });
    const template =
      '{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ "assistant:" }}';
    const settings = JSON.parse(readFileSync(join(model, 'tokenizer_config.json'), 'utf8')) as object;
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ ...settings, chat_template: template }),
    );
    const chats = [
      [{ role: 'user', content: 'A cat sat.' }],
      [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'A red boat' },
        { role: 'assistant', content: 'went home.' },
        { role: 'user', content: 'And then?' },
      ],
    ];
    const file = join(folder, 'chats.jsonl');
    // With the mark that editors on Windows write.
    writeFileSync(file, `\ufeff${chats.map((messages) => `${JSON.stringify({ messages })}\n`).join('')}`);
    const written = chats.map(
      (messages) => `${messages.map(({ role, content }) => `${role}: ${content}\n`).join('')}assistant:`,
    );
    const prompts = join(folder, 'prompts.json');
    writeFileSync(prompts, JSON.stringify(written));
    const ask = ['generate', folder, '-n', '8', '--json', '-f'];
    const [answered, plain] = await Promise.all([
      output([...ask, file, '--chat']),
      output([...ask, prompts]),
    ]);
    const byIndex = (text: string): Line[] =>
      jsonLines(text).sort((a, b) => Number(a['index']) - Number(b['index']));
    assert.deepEqual(
      byIndex(answered),
      byIndex(plain).map(({ prompt, ...line }, i) => {
        assert.equal(prompt, written[i]);
        return { ...line, messages: chats[i] };
      }),
    );
    const without = await westwind([...ask, file]);
    assert.equal(without.code, 2);
    assert.match(without.stderr, /^westwind: .*chats\.jsonl holds a chat's messages.*: say --chat\n$/);
    const doubled = await westwind([...ask, file, '--chat', '--system', 'Be kind.']);
    assert.match(doubled.stderr, /^westwind: .*chats\.jsonl has a system message of its own: .*\n$/);
  });

  it('a run starts from a finished adapter, which it leaves as it was, and says so', async () => {
    const weights = 'adapter/adapter_model.safetensors';
    const before = readFileSync(join(task, weights));
    const next = makeJob(model, {
      'lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}': `adapter: ${runFolder(job)}`,
      'max_steps: 40': 'max_steps: 1',
      // A step too small to change a float: what is saved is what it began with.
      'learning_rate: 5e-3': 'learning_rate: 1e-30',
      'scoring: both': 'scoring: likelihood',
    });
    await output(['run', next.config]);
    const folder = runFolder(next);
    assert.deepEqual(readFileSync(join(folder, 'subjects', weights)), before);
    assert.deepEqual(readFileSync(join(task, weights)), before);
    const [mine, other] = [folder, runFolder(job)].map(
      (of) =>
        JSON.parse(readFileSync(join(of, 'manifest.json'), 'utf8')) as {
          config: { tasks: { lora: object }[] };
          fingerprints: { adapters?: Record<string, string> };
        },
    );
    assert.match(mine!.fingerprints.adapters!['subjects']!, /^[0-9a-f]+$/);
    assert.equal(other!.fingerprints.adapters, undefined);
    const { r, lora_alpha, lora_dropout } = mine!.config.tasks[0]!.lora as Record<string, number>;
    assert.deepEqual([r, lora_alpha, lora_dropout], [4, 8, 0.1]);
    // And answers by it, as the run that trained it did.
    const likelihoods = (of: string): unknown[] =>
      jsonLines(readFileSync(join(of, 'subjects/predictions-tuned-likelihood.jsonl'), 'utf8'))
        .sort((a, b) => Number(a['row']) - Number(b['row']))
        .map((line) => line['log_likelihoods']);
    assert.deepEqual(likelihoods(folder), likelihoods(runFolder(job)));
  });

  it('verify exits with 0 only where all holds', async () => {
    const golden = resolve(import.meta.dirname, '../golden/models/mistral');
    const good = await output(['verify', golden]);
    assert.match(good, /ok .*\n[^]* passed, 0 failed\n$/);
    const folder = join(temporaryFolder(), 'mistral');
    cpSync(golden, folder, { recursive: true });
    const path = join(folder, 'golden.json');
    const changed = readFileSync(path, 'utf8').replace(/"losses": \[\s*([\d.]+)/, '"losses": [ 1$1');
    assert.notEqual(changed, readFileSync(path, 'utf8'));
    writeFileSync(path, changed);
    const bad = await westwind(['verify', folder, '--json']);
    assert.equal(bad.code, 1);
    assert.ok(jsonLines(bad.stdout).some((check) => check['ok'] === false));
  });

  it('bench: figures of training and generation, and no growth of memory over the steps', async () => {
    const options = ['--weights', 'f32,nf4', '--batch', '2', '--gradient-checkpointing', '--json'];
    const lines = jsonLines(
      await output([
        'bench',
        '--model',
        model,
        ...options,
        '--steps',
        '400',
        '--length',
        '32',
        '--what',
        'train',
      ]),
    );
    const figures = lines.filter((line) => 'what' in line);
    assert.deepEqual(
      figures.map((line) => line['what']),
      [
        'train f32, checkpointing, r 8 on all-linear, 2 x 32',
        'train nf4, checkpointing, r 8 on all-linear, 2 x 32',
      ],
    );
    for (const line of figures) {
      assert.equal(line['steps'], 400);
      assert.ok((line['tokens_per_second'] as number) > 0);
      assert.ok((line['peak_bytes'] as number) < (line['resident_bytes'] as number));
    }
    const resident = lines
      .filter((line) => 'step' in line && (line['step'] as number) >= 40)
      .map((line) => line['resident_bytes'] as number);
    assert.equal(resident.length, 20);
    // The second half of each run against its first: a step's own tensors, kept by mistake, would be far more.
    const growth = Math.max(...resident.slice(5, 10)) - Math.max(...resident.slice(0, 5));
    assert.ok(growth < 15e6, `${growth} bytes more`);

    const generation = jsonLines(
      await output(['bench', '--model', model, ...options, '--what', 'generate', '--new-tokens', '8']),
    );
    assert.deepEqual(
      generation.map((line) => line['what']),
      ['generate f32, 2 x (64 + 8)', 'generate nf4, 2 x (64 + 8)'],
    );
    assert.ok((generation[1]!['peak_bytes'] as number) < (generation[0]!['peak_bytes'] as number));
  });

  it('schema and doctor print JSON', async () => {
    const schema = JSON.parse(await output(['schema'])) as { properties: Record<string, unknown> };
    assert.ok('model_name_or_path' in schema.properties);
    const doctor = JSON.parse(await output(['doctor', '--json'])) as Record<string, string>;
    assert.match(doctor['cpu']!, /^ready/);
    assert.match(doctor['models']!, /mistral/);
  });
});
