/** Names that every object inherits (`constructor`, `__proto__`) come in at every door as the names that they are. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { targetModules } from '../../src/adapters/targets.js';
import { readAdapterConfig } from '../../src/adapters/peft.js';
import { createBackend } from '../../src/backends/select.js';
import { readTable, selectColumns, type TableFormat } from '../../src/data/index.js';
import { rouge, scorePredictions, type Metric, type RougeOptions } from '../../src/eval/index.js';
import { benchShape } from '../../src/experiments/bench/shapes.js';
import { loadStudy, modelSettings, parseConfig, starterConfig } from '../../src/experiments/config/index.js';
import { makeReport, readRuns, type PublishedName } from '../../src/experiments/report/index.js';
import { refuseQuantized } from '../../src/files/foreign.js';
import { randomModel } from '../../src/models/load.js';
import { createTask, toSample, type CustomSettings, type TaskName } from '../../src/tasks/index.js';
import { UserError } from '../../src/util/errors.js';
import { own } from '../../src/util/own.js';
import { backend, familyConfig, tinyConfig } from '../support/tiny.js';
import { writeRun } from '../experiments/report/fixtures.js';

const INHERITED = Object.getOwnPropertyNames(Object.prototype);
/** Those that the rules for names of tasks and columns of checks allow. */
const NAMES = INHERITED.filter((name) => !name.startsWith('_'));

const root = mkdtempSync(join(tmpdir(), 'westwind-own-'));
after(() => rmSync(root, { recursive: true }));

/** Refused in one line that has the name. */
function refused(work: () => unknown, name: string): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof UserError, `${name}: ${String(error)}`);
    assert.ok(error.message.includes(name), error.message);
    return true;
  });
}

test('a table has what it was given, and nothing else', () => {
  const name = fc.oneof(fc.constantFrom(...INHERITED), fc.string());
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.integer())), name, (entries, asked) => {
      assert.equal(own(Object.fromEntries(entries), asked), new Map(entries).get(asked));
    }),
  );
  assert.equal(own(undefined, 'constructor'), undefined);
});

const TASK = { task: 'classification', train: { path: 'a.csv' }, test: { path: 'b.csv' } };
const CONFIG = { model_name_or_path: 'm', training: {}, lora: {}, generation: {}, quantization: {} };

test('as keys and values of a configuration, and in --set', () => {
  const text = (changes: object, task: object = {}): string =>
    JSON.stringify({ ...CONFIG, tasks: { topics: { ...TASK, ...task } }, ...changes });
  for (const name of INHERITED) {
    const entry = Object.fromEntries([[name, 1]]);
    for (const section of ['training', 'lora', 'generation', 'quantization', 'mlflow', 'grid'])
      refused(() => parseConfig(text({ [section]: entry })), name);
    refused(() => parseConfig(text(entry)), name);
    refused(() => parseConfig(text({}, entry)), name);
    refused(() => parseConfig(text({}, { columns: entry })), name);
    for (const key of ['device', 'torch_dtype', 'report_to'])
      refused(() => parseConfig(text({ [key]: name })), name);
    for (const key of ['task', 'scoring', 'likelihood_normalization', 'split'])
      refused(() => parseConfig(text({}, { [key]: name })), name);
    refused(() => parseConfig(text({}, { checks: [{ check: name }] })), 'checks[1].check');
    refused(() => parseConfig(text({}, { train: { path: 'a.csv', format: name } })), name);
    for (const key of ['packing', 'optim', 'lr_scheduler_type'])
      refused(() => parseConfig(text({ training: { [key]: name } })), name);
    const config = JSON.parse(text({})) as Record<string, unknown>;
    for (const field of [name, `lora.${name}`, `tasks.topics.${name}`])
      refused(() => loadStudy({ config }, { settings: [`${field}=1`] }), name);
  }
});

test('as names of tasks, columns and checks', () => {
  for (const name of NAMES) {
    const task = { task: 'custom', prompt: `{${name}}`, completion: '{answer}', metric: 'exact_match' };
    const checks = [{ check: 'jaccard', name }];
    const tasks = { [name]: { ...task, train: { path: 'a.csv' }, test: { path: 'b.csv' }, checks } };
    const [read] = parseConfig(JSON.stringify({ ...CONFIG, tasks })).tasks;
    assert.equal(read!.name, name);
    assert.equal(read!.checks[0]!.name, name);
    assert.deepEqual(read!.train!.columns, { [name]: name, answer: 'answer' });
  }
  // Neither a record of the schema's nor an object can be relied on to keep this one.
  const proto = (tasks: string): string => `{"model_name_or_path": "m", "tasks": ${tasks}}`;
  refused(() => parseConfig(proto('{"__proto__": {"task": "classification"}}')), '__proto__');
  const custom = '"task": "custom", "metric": "rouge", "train": {"path": "a"}, "completion": "{a}"';
  refused(
    () => parseConfig(proto(`{"t": {${custom}, "prompt": "{q}", "columns": {"__proto__": "q"}}}`)),
    '__proto__',
  );
  refused(() => parseConfig(proto(`{"t": {${custom}, "prompt": "{__proto__}"}}`)), '__proto__');
});

test('as columns, in every format, and as endings of files', async () => {
  const cases = INHERITED.flatMap((name): [file: string, content: string, name: string][] => [
    ['t.csv', `a,${name}\nx,y\n`, name],
    ['t.tsv', `a\t${name}\nx\ty\n`, name],
    ['t.json', `[{"a": "x", "${name}": "y"}]`, name],
    ['t.json', `{"a": ["x"], "${name}": ["y"]}`, name],
    ['t.jsonl', `{"a": "x", "${name}": "y"}\n`, name],
  ]);
  for (const [file, content, name] of cases) {
    const path = join(root, file);
    writeFileSync(path, content);
    const table = await readTable(path);
    assert.equal(selectColumns(table, { text: name }, path).rows[0]!.text, 'y', content);
    for (const other of INHERITED.filter((n) => n !== name))
      refused(() => selectColumns(table, { text: other }, path), other);
  }
  for (const name of INHERITED) {
    const path = join(root, `t.${name}`);
    writeFileSync(path, 'a\nb\n');
    await assert.rejects(readTable(path), UserError);
    await assert.rejects(readTable(path, { format: name as TableFormat }), RangeError);
  }
});

test('as names of tasks, metrics, tokenizers and devices that a program gives', async () => {
  for (const name of INHERITED) {
    const custom = {
      task: 'custom',
      prompt: '{q}',
      completion: '{a}',
      metric: name,
    } as unknown as CustomSettings;
    assert.throws(() => createTask(custom), RangeError);
    assert.throws(() => createTask({ task: name as 'classification' }), RangeError);
    assert.throws(() => scorePredictions(name as Metric, []), RangeError);
    assert.throws(() => rouge('a', 'a', { tokenizer: name } as unknown as RougeOptions), RangeError);
    assert.throws(() => starterConfig(name as TaskName), RangeError);
    refused(() => benchShape(name), name);
    assert.deepEqual(modelSettings(name), [`model_name_or_path=${JSON.stringify(name)}`]);
    await assert.rejects(createBackend(name), UserError);
  }
  for (const name of NAMES) {
    const settings = {
      task: 'custom',
      prompt: `{${name}?} {q}`,
      completion: '{a}',
      metric: 'exact_match',
    } as const;
    assert.equal(toSample(createTask(settings), { q: 'x', a: 'y' }, 0).values[name], '');
  }
});

test('as labels and answers', () => {
  const plain = ['alpha', 'beta', 'gamma'];
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.constantFrom(...INHERITED), { minLength: 3, maxLength: 3 }),
      fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { minLength: 1, maxLength: 20 }),
      (names, rows) => {
        const sorted = [...names].sort();
        const score = (labels: readonly string[]) =>
          scorePredictions(
            'classification',
            rows.map(([reference, answer]) => ({ reference: labels[reference]!, answer: labels[answer]! })),
          );
        assert.deepEqual(score(sorted).metrics, score(plain).metrics);
        assert.deepEqual(score(sorted).intervals, score(plain).intervals);
      },
    ),
    { numRuns: 5 },
  );
});

test('in config.json of models and of adapters', async () => {
  const be = await backend('reference');
  for (const name of INHERITED) {
    for (const change of [{ model_type: name }, { hidden_act: name }, { rope_scaling: { rope_type: name } }])
      await assert.rejects(randomModel(be, tinyConfig(change)), UserError);
    for (const family of ['gpt_neox', 'falcon'])
      await assert.rejects(
        randomModel(be, { ...familyConfig(family), hidden_act: name, activation: name }),
        UserError,
      );
    refused(() => refuseQuantized({ quantization_config: { quant_method: name } }, 'config.json'), name);
    refused(() => targetModules(['model.q_proj'], 'lm_head', [name]), name);
    const folder = join(root, 'adapter');
    mkdirSync(folder, { recursive: true });
    for (const change of [{ peft_type: name }, { bias: name }, { init_lora_weights: name }]) {
      const whole = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'], ...change };
      writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(whole));
      refused(() => readAdapterConfig(folder), name);
    }
  }
});

test("in a run's folder: its report is that of any other name", () => {
  const check = { mean: 0.5, interval: { low: 0.4, high: 0.6 }, min: 0.1 };
  const reportWith = (name: string) => {
    const folder = mkdtempSync(join(root, 'runs-'));
    // One run has the check, the others have none of its name.
    for (const [i, method] of (['zero_shot', 'few_shot', 'tuned'] as const).entries())
      writeRun(folder, {
        id: `run${i}`,
        method,
        task: name,
        ...(method === 'tuned' && { checks: { [name]: check } }),
      });
    const published: Record<string, PublishedName> = {};
    return makeReport(readRuns([folder]).runs, { published });
  };
  for (const name of NAMES) {
    // As long, so that tables are as wide.
    const plain = 'q'.repeat(name.length);
    const heading = (text: string): string => text[0]!.toUpperCase() + text.slice(1);
    const renamed = (text: string): string =>
      text
        .replaceAll(name, plain)
        .replaceAll(heading(name), heading(plain))
        .replaceAll(name.toLowerCase(), plain);
    const [mine, other] = [reportWith(name), reportWith(plain)];
    assert.equal(renamed(mine.markdown), other.markdown);
    assert.deepEqual(Object.values(mine.tables).map(renamed), Object.values(other.tables));
  }
});
