import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { expandGrid } from '../../../src/experiments/config/grid.js';
import {
  canonicalJson,
  jsonSchema,
  labelOf,
  loadConfig,
  loadStudy,
  parseStudy,
} from '../../../src/experiments/config/index.js';
import { UserError } from '../../../src/util/errors.js';

const TASK = '{task: classification, train: {path: x.csv}, test: {path: y.csv}, baselines: []}';
const HEAD = 'model_name_or_path: m\n';

function labels(text: string): string[] {
  const runs = parseStudy(text, 'c.yaml');
  const axes = [...new Set(runs.flatMap((run) => Object.keys(run.at)))];
  return runs.map((run) => labelOf(run, axes));
}

function faults(text: string): string {
  try {
    parseStudy(text, 'c.yaml');
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  return '';
}

test('each value of a list goes with each of the others, the last axis fastest', () => {
  assert.deepEqual(labels(`${HEAD}lora: {r: [2, 4], lora_dropout: [0.1, 0]}\ntasks: {t: ${TASK}}\n`), [
    't, r 2, lora_dropout 0.1',
    't, r 2, lora_dropout 0',
    't, r 4, lora_dropout 0.1',
    't, r 4, lora_dropout 0',
  ]);
});

test('a grid has as many points as its axes’ lengths multiplied, all different, each valid', () => {
  const axis = (values: fc.Arbitrary<number>): fc.Arbitrary<number[]> =>
    fc.uniqueArray(values, { minLength: 1, maxLength: 4 });
  const property = fc.property(
    axis(fc.integer({ min: 1, max: 64 })),
    axis(fc.integer({ min: 1, max: 99 })),
    axis(fc.integer({ min: 0, max: 1000 })),
    (r, epochs, seed) => {
      const runs = parseStudy(
        `${HEAD}${JSON.stringify({ lora: { r }, training: { num_train_epochs: epochs }, seed }).slice(1, -1)}`
          .replace(/^(.*)\n(.*)$/s, '{$1, $2, ')
          .replace(/$/, `tasks: {t: ${TASK}}}`),
      );
      assert.equal(runs.length, r.length * epochs.length * seed.length);
      assert.equal(new Set(runs.map((run) => canonicalJson(run.config))).size, runs.length);
    },
  );
  fc.assert(property, { numRuns: 50 });
});

test('fields that are lists as they are become axes by a list of lists', () => {
  const one = parseStudy(`${HEAD}lora: {target_modules: [q_proj, v_proj]}\ntasks: {t: ${TASK}}\n`);
  assert.equal(one.length, 1);
  const two = labels(`${HEAD}lora: {target_modules: [[q_proj, v_proj], all-linear]}\ntasks: {t: ${TASK}}\n`);
  assert.deepEqual(two, ['t, target_modules q_proj+v_proj', 't, target_modules all-linear']);
});

test('axes in step, and points left out', () => {
  const text = `${HEAD}lora: {r: [2, 4, 8], lora_alpha: [4, 8, 16]}
training: {neftune_noise_alpha: [0, 5]}
grid: {zip: [[lora.r, lora.lora_alpha]], exclude: [{lora.r: [2, 4], training.neftune_noise_alpha: 5}]}
tasks: {t: ${TASK}}
`;
  assert.deepEqual(labels(text), [
    't, r 2, lora_alpha 4, neftune_noise_alpha 0',
    't, r 4, lora_alpha 8, neftune_noise_alpha 0',
    't, r 8, lora_alpha 16, neftune_noise_alpha 0',
    't, r 8, lora_alpha 16, neftune_noise_alpha 5',
  ]);
});

test('a task knows nothing of another’s axes, and baselines nothing of adapters', () => {
  const text = `${HEAD}lora: {r: [2, 4]}
tasks:
  a: {task: classification, train: {path: x.csv, fraction: [0.1, 0.5]}, test: {path: y.csv}}
  b: {task: summarization, train: {path: x.csv}, test: {path: y.csv}, baselines: [zero_shot]}
  c: {task: summarization, test: {path: y.csv}, training: false}
`;
  assert.deepEqual(labels(text), [
    'a, zero-shot',
    'a, few-shot',
    ...['a, r 2, fraction 0.1', 'a, r 2, fraction 0.5', 'a, r 4, fraction 0.1', 'a, r 4, fraction 0.5'],
    ...['b, zero-shot', 'b, r 2', 'b, r 4'],
    'c, zero-shot',
  ]);
  const models = labels(text.replace('model_name_or_path: m', 'model_name_or_path: [m, n]'));
  assert.equal(models.length, 20);
  assert.ok(models.includes('c, model_name_or_path n, zero-shot'));
});

test('what is wrong with a grid is told with its line', () => {
  const bad = (grid: string): string =>
    faults(`${HEAD}lora: {r: [2, 4], lora_alpha: [1, 2, 3]}\ntasks: {t: ${TASK}}\ngrid: ${grid}\n`);
  assert.match(bad('{zip: [[lora.r, lora.lora_alpha]]}'), /^c\.yaml:4: grid\.zip\[1\] goes in step only/);
  assert.match(
    bad('{zip: [[lora.r, lora.x]]}'),
    /names lora\.x, which is no list .*lora\.r, lora\.lora_alpha/,
  );
  assert.match(bad('{exclude: [{lora.q: 1}]}'), /grid\.exclude.*names lora\.q/);
  assert.match(bad('{exclude: [{lora.r: [2, 4]}]}'), /leaves out every point/);
  assert.match(bad('{zips: []}'), /grid\.zips is not a setting/);
  assert.match(faults(`${HEAD}seed: []\ntasks: {t: ${TASK}}\n`), /^c\.yaml:2: seed is an empty list/);
  assert.match(
    faults(`${HEAD}lora: {r: [2, two]}\ntasks: {t: ${TASK}}\n`),
    /^c\.yaml:2: lora\.r must be a number; it is the text "two"/,
  );
  const many = Array.from({ length: 120 }, (_, i) => i + 1).join(', ');
  assert.match(
    faults(`${HEAD}lora: {r: [${many}], lora_alpha: [${many}]}\ntasks: {t: ${TASK}}\n`),
    /more than 10000 points/,
  );
});

test('a value of any shape comes through the grid', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expandGrid(value);
    }),
  );
});

test('extends and --set lay settings over one another, and faults name the layer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-grid-'));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  try {
    mkdirSync(join(folder, 'base'));
    for (const name of ['base/x.csv', 'y.csv']) write(name, 'text,label\n');
    write('base/base.yaml', `${HEAD}lora: {r: 2, lora_alpha: 4}\ntasks: {t: ${TASK}}\n`);
    const top = write('top.yaml', 'extends: base/base.yaml\nlora: {r: [8, 16]}\nseed: 1\n');
    const study = loadStudy(top);
    assert.deepEqual(
      study.runs.map(({ config }) => [
        config.seed,
        config.tasks[0]!.lora && config.tasks[0]!.lora.lora_alpha,
      ]),
      [
        [1, 4],
        [1, 4],
      ],
    );
    // Data beside the file that names it, and beside the one that extends that.
    const [first] = study.runs;
    assert.deepEqual(first!.config.tasks[0]!.train!.from, { path: join(folder, 'base/x.csv') });
    assert.deepEqual(first!.config.tasks[0]!.test!.from, { path: join(folder, 'y.csv') });
    // A run's own text gives that run; its task has come from nowhere.
    const own = write('own.yaml', first!.source.text.replace('x.csv', 'base/x.csv'));
    const tasks = first!.config.tasks.map(({ inheritedFrom, ...task }) => {
      assert.equal(inheritedFrom, join(folder, 'base/base.yaml'));
      return task;
    });
    assert.deepEqual(loadConfig(own).config, { ...first!.config, tasks });

    const { config } = loadConfig(top, { settings: ['lora.r=5', 'tasks.t.train.count=7', 'seed=3'] });
    assert.deepEqual([config.seed, config.tasks[0]!.train!.count], [3, 7]);
    assert.equal(config.tasks[0]!.lora && config.tasks[0]!.lora.r, 5);
    assert.throws(() => loadConfig(top), /is a study of 2 runs \(lora\.r\)/);
    const fault =
      (...settings: string[]): (() => unknown) =>
      () =>
        loadStudy(top, { settings });
    assert.throws(
      fault('lora.lora_alfa=5'),
      /^UserError: --set lora\.lora_alfa: lora\.lora_alfa is not a setting; did you mean lora_alpha\?$/,
    );
    assert.throws(fault('lora.r'), /is not 'field=value'/);
    assert.throws(fault('lora.r=[1'), /--set lora\.r.*not valid YAML/);
    write('top.yaml', 'extends: base/base.yaml\nlora: {r: 0}\n');
    assert.throws(fault(), /top\.yaml:2: lora\.r must be 1 or more/);
    write('base/base.yaml', `${HEAD}lora: {q: 2}\ntasks: {t: ${TASK}}\n`);
    write('top.yaml', 'extends: base/base.yaml\n');
    assert.throws(fault(), /base\.yaml:2: lora\.q is not a setting/);
    write('top.yaml', 'extends: top.yaml\n');
    assert.throws(fault(), /is it a circle\?/);
    write('top.yaml', 'extends: none.yaml\n');
    assert.throws(fault(), /top\.yaml:1: extends: .*none\.yaml/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the JSON Schema allows a list wherever the grid does', () => {
  const { properties } = jsonSchema() as { properties: Record<string, { anyOf?: unknown[]; type?: string }> };
  assert.equal(properties['seed']!.anyOf!.length, 2);
  assert.equal(properties['output_dir']!.type, 'string');
});
