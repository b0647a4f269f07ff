import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  jsonSchema,
  loadConfig,
  loadStudy,
  parseConfig,
  resultHash,
  starterConfig,
} from '../../../src/experiments/config/index.js';
import { TASK_NAMES } from '../../../src/tasks/index.js';
import { UserError } from '../../../src/util/errors.js';

const BASE = `model_name_or_path: m
tasks:
  a:
    task: classification
    train: {path: x.csv}
    test: {path: y.csv}
`;

/** The lines of the error that a text gives. */
function faults(text: string): string[] {
  try {
    parseConfig(text, 'c.yaml');
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message.split('\n').map((line) => line.replace(/^c\.yaml:?/, ''));
  }
  return [];
}

test('what is left out has the original study’s settings, by task', () => {
  const { tasks, seed, device, weights } = parseConfig(`model_name_or_path: m
quantization: {load_in_4bit: true}
lora: {}
tasks:
  t: {task: classification, train: {path: x.csv}, test: {path: y.csv}}
  s: {task: summarization, train: {path: x.csv}, test: {path: y.csv}}
`);
  const [topics, summaries] = tasks;
  assert.deepEqual(
    [seed, device, weights],
    [42, 'auto', { dtype: 'auto', quantization: { doubleQuant: true } }],
  );
  assert.deepEqual(topics!.lora, {
    r: 8,
    lora_alpha: 16,
    lora_dropout: 0.1,
    use_rslora: false,
    target_modules: ['q_proj', 'v_proj'],
  });
  assert.equal(summaries!.lora && summaries!.lora.r, 64);
  assert.deepEqual([topics!.training.num_train_epochs, summaries!.training.num_train_epochs], [5, 1]);
  assert.deepEqual(
    [topics!, summaries!].map(({ generation: g }) => [
      g.max_new_tokens,
      g.baseline_max_new_tokens,
      g.do_sample,
    ]),
    [
      [20, 20, false],
      [100, 50, false],
    ],
  );
  const { learning_rate, lr_scheduler_type, warmup_ratio, max_grad_norm, max_length, packing } =
    topics!.training;
  assert.deepEqual(
    { learning_rate, lr_scheduler_type, warmup_ratio, max_grad_norm, max_length, packing },
    {
      learning_rate: 2e-4,
      lr_scheduler_type: 'constant',
      warmup_ratio: 0.03,
      max_grad_norm: 0.3,
      max_length: 512,
      packing: 'concat',
    },
  );
  assert.deepEqual(topics!.baselines, ['zero_shot', 'few_shot']);
});

test('a task’s section comes before the top level’s, key by key', () => {
  const { tasks } = parseConfig(`model_name_or_path: m
seed: 7
lora: {r: 4, lora_alpha: 32}
training: {learning_rate: 1e-3, max_steps: 9}
generation: {top_k: 5}
tasks:
  a:
    task: summarization
    columns: {dialogue: talk, summary: gist}
    train: {path: x.csv, columns: {summary: tldr}, count: 5}
    lora: {r: 16}
    training: {max_steps: 3}
    max_new_tokens: 30
  b: {task: summarization, test: {hub: samsum}, lora: false}
`);
  const [a, b] = tasks;
  assert.deepEqual(a!.lora && [a!.lora.r, a!.lora.lora_alpha], [16, 32]);
  assert.deepEqual([a!.training.learning_rate, a!.training.max_steps, a!.training.seed], [1e-3, 3, 7]);
  assert.deepEqual(
    [a!.generation.top_k, a!.generation.seed, a!.generation.baseline_max_new_tokens],
    [5, 7, 30],
  );
  assert.deepEqual(a!.train, {
    from: { path: 'x.csv' },
    columns: { dialogue: 'talk', summary: 'tldr' },
    count: 5,
    stratify: false,
  });
  assert.equal(b!.lora, false);
  assert.deepEqual(b!.test!.from, { hub: 'samsum', split: 'test' });
  assert.deepEqual(b!.baselines, ['zero_shot']);
});

test('unknown keys are refused with their line and the nearest right name', () => {
  assert.deepEqual(
    faults(`${BASE}    training:
      learning_rat: 1e-4
      gradient-checkpointing: true
      r: 8
    max_tokens: 3
modelname: x
learning_rate: 1
lora:
  modules_to_save: [a]
  zzz: 1
`),
    [
      '8: tasks.a.training.learning_rat is not a setting; did you mean learning_rate?',
      '9: tasks.a.training.gradient-checkpointing is not a setting; did you mean gradient_checkpointing?',
      "10: tasks.a.training.r is not a setting here; it belongs under 'lora'",
      '11: tasks.a.max_tokens is not a setting; did you mean max_new_tokens?',
      '12: modelname is not a setting; did you mean model_name_or_path?',
      "13: learning_rate is not a setting here; it belongs under 'training'",
      '15: lora.modules_to_save is not supported: put the layers into target_modules instead',
      '16: lora.zzz is not a setting; the settings here are r, lora_alpha, lora_dropout, use_rslora, target_modules, bias',
    ],
  );
});

test('wrong types and values are refused with what is allowed', () => {
  assert.deepEqual(
    faults(`${BASE}training:
  max_steps: 0
  lr_scheduler_type: cosin
  warmup_ratio: 2
  learning_rate: "2e-4"
  num_train_epochs: .nan
  adam_beta1: 1
  bf16: yes
lora:
  r: 8.5
  target_modules: []
  bias: all
quantization: nf4
generation:
seed: -1
device: gpu
`),
    [
      '8: training.max_steps must be 1 or more; it is 0',
      '9: training.lr_scheduler_type must be one of constant, constant_with_warmup, linear, cosine, cosine_with_restarts, cosine_with_min_lr, polynomial, inverse_sqrt, warmup_stable_decay; it is the text "cosin"; did you mean cosine?',
      '10: training.warmup_ratio must be 1 or less; it is 2',
      '11: training.learning_rate must be a number; it is the text "2e-4"',
      '12: training.num_train_epochs must be a number; it is NaN',
      '13: training.adam_beta1 must be less than 1; it is 1',
      '14: training.bf16 must be true or false; it is the text "yes"',
      '16: lora.r must be a whole number; it is 8.5',
      '17: lora.target_modules needs an entry at least',
      '18: lora.bias must be none; it is the text "all"',
      '19: quantization must be false or a mapping of keys to values; it is the text "nf4"',
      '20: generation must be a mapping of keys to values; it is empty',
      '21: seed must be 0 or more; it is -1',
      '22: device must be one of auto, cuda, cpu, reference; it is the text "gpu"; did you mean cpu?',
    ],
  );
});

test('tasks that are no tasks', () => {
  assert.deepEqual(faults('tasks: 3'), [
    '1: model_name_or_path is missing',
    '1: tasks must be a mapping of keys to values; it is 3',
  ]);
  assert.deepEqual(faults('model_name_or_path: ""\ntasks: {}'), [
    '1: model_name_or_path is empty',
    '2: tasks needs one task at least',
  ]);
  assert.deepEqual(
    faults(`model_name_or_path: m
tasks:
  a b: {task: classification}
  b: {task: clasification}
  c: {}
  d: 4
  e:
    task: custom
    prompt: "a {b"
    completion: x
    metric: f1
    train: {path: a, hub: b, fraction: 0.1, count: 3}
    test: {path: a, split: x}
`),
    [
      '3: tasks."a b" is no name for a task: use letters, digits, _ and -, 64 at most',
      '4: tasks.b.task must be one of classification, summarization, custom, chat; it is the text "clasification"; did you mean classification?',
      '5: tasks.c.task is missing; it is one of classification, summarization, custom, chat',
      '6: tasks.d must be a mapping of keys to values; it is 4',
      "9: tasks.e.prompt has a '{' without its partner; a column is written {column}, a brace {{",
      '10: tasks.e.completion names no column; write {column} where one belongs',
      '11: tasks.e.metric must be one of accuracy, rouge, exact_match, chrf; it is the text "f1"',
      "12: tasks.e.train needs either 'path' (a file) or 'hub' (a data set on the hub)",
      "12: tasks.e.train.count cannot be given together with 'fraction'",
      "13: tasks.e.test.split goes with 'hub'; a file has none",
    ],
  );
});

test('settings that do not fit together', () => {
  assert.deepEqual(
    faults(`model_name_or_path: m
tasks:
  d:
    task: custom
    prompt: "{q}"
    completion: "{a}"
    metric: rouge
    labels: [a, b]
    scoring: both
    columns: {qq: x}
    test: {path: a, stratify: true}
    baselines: [few_shot]
  e: {task: classification, test: {path: a}}
  f: {task: summarization}
`),
    [
      '8: tasks.d.labels go with the metric accuracy',
      '9: tasks.d.scoring must be generate: only the metric accuracy has labels to compare',
      '10: tasks.d.columns.qq is not a setting; the settings here are q, a',
      '11: tasks.d.test.stratify needs labels, and this task has none',
      "12: tasks.d.baselines few_shot needs 'train' to take examples from",
      "13: tasks.e needs 'labels' or 'train' to know its classes",
      "14: tasks.f needs 'train', 'test' or both",
    ],
  );
  assert.match(faults(`${BASE}quantization: {load_in_4bit: true}`)[0]!, /lora is needed with 4-bit weights/);
  assert.match(
    faults(`${BASE}    lora: false\nlora: {}\nquantization: {load_in_4bit: true}`)[0]!,
    /^7: tasks\.a\.lora is needed/,
  );
  assert.match(faults(`${BASE}torch_dtype: bfloat16`)[0]!, /^7: torch_dtype must be auto or float32/);
  assert.deepEqual(faults(`${BASE}quantization: {load_in_4bit: false}`), []);
});

test('checks have names of their own, bounds that something can lie between, and rows to look at', () => {
  assert.deepEqual(
    faults(`model_name_or_path: m
tasks:
  a:
    task: summarization
    test: {path: y.csv}
    checks:
      - {check: lenght}
      - {check: rouge1, min: 2, max: 1}
      - {check: rouge1}
      - {check: ./dates.ts, name: rouge1}
      - {check: length, name: a/b}
  b: {task: summarization, train: {path: x.csv}, checks: [{check: length}]}
`),
    [
      '7: tasks.a.checks[1].check is no check: it is one of length, word_overlap, jaccard, rouge1, rouge2, rougeL, rougeLsum, ' +
        'or a file that ends in .ts, .js or .mjs',
      '8: tasks.a.checks[2] has a min above its max',
      '11: tasks.a.checks[5].name is no name for a column: use letters, digits, _, - and ., 64 at most',
    ],
  );
  assert.deepEqual(
    faults(`model_name_or_path: m
tasks:
  a:
    task: summarization
    test: {path: y.csv}
    checks:
      - {check: rouge1}
      - {check: ./dates.ts, name: rouge1}
  b: {task: summarization, train: {path: x.csv}, checks: [{check: length}]}
`),
    [
      '8: tasks.a.checks[2] has the name rouge1, which an earlier check has',
      "9: tasks.b.checks need 'test' rows to look at",
    ],
  );
  const [task] = parseConfig(`${BASE}    checks: [{check: own/dates.ts, min: 0.5}]`).tasks;
  assert.deepEqual(task!.checks, [{ check: 'own/dates.ts', name: 'dates', min: 0.5 }]);
});

test('texts that are no configuration', () => {
  const expected: readonly (readonly [string, string])[] = [
    ['', " is empty; 'westwind init' writes a configuration to start from"],
    ['# nothing', " is empty; 'westwind init' writes a configuration to start from"],
    ['- 1', "1: a configuration is a mapping of keys to values ('key: value', a line each)"],
    ['hello', "1: a configuration is a mapping of keys to values ('key: value', a line each)"],
    ['seed: 1\nseed: 2', '2: the key seed is there twice'],
    ['a:\n\tb: 1', '2: a tab is used to indent; YAML wants spaces'],
    ['a: !foo 1', '1: the tag !foo is not supported: remove it'],
    ['a: &x 1\nb: *x', '2: aliases (*name) are not supported: write the value out'],
    ['? [a]\n: 1', '1: a key is missing, or is not a plain text'],
    ['a: 1\n---\nb: 2', "2: a second document begins here ('---'); a configuration is one"],
    ['a: 1\nb: @x', '2: not valid YAML: Plain value cannot start with reserved character @'],
    ['a:\n  - ' + '['.repeat(1e5), '2: nested too deeply for a configuration'],
    ['- '.repeat(1e5), '1: nested too deeply for a configuration'],
    ['#'.repeat(1e6 + 1), ' is too large for a configuration: it has more than 1000000 characters'],
  ];
  for (const [text, message] of expected) assert.deepEqual(faults(text), [message.replace(/^:/, '')]);
});

test('a bomb of aliases is refused before it expands', () => {
  const levels = Array.from({ length: 30 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`);
  const [fault] = faults(['l0: &l0 [x]', ...levels].join('\n'));
  assert.match(fault!, /aliases \(\*name\) are not supported/);
});

test('JSON is read as well, tabs and all', () => {
  const json = JSON.stringify(
    { model_name_or_path: 'm', tasks: { a: { task: 'summarization', test: { path: 'x.json' } } } },
    null,
    '\t',
  );
  assert.equal(parseConfig(json).tasks[0]!.settings.task, 'summarization');
  assert.deepEqual(faults(json.replace('"test"', '"tset"')), [
    '6: tasks.a.tset is not a setting; did you mean test?',
  ]);
});

test('paths are found beside the file first, then in the working folder; a missing file is named with its line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-config-'));
  try {
    const path = join(folder, 'c.yaml');
    writeFileSync(path, BASE);
    assert.throws(
      () => loadConfig(path),
      (error: Error) =>
        error.message.includes(
          `${path}:5: tasks.a.train.path is x.csv, which is neither in this file's folder nor`,
        ) && error.message.includes(`${path}:6: tasks.a.test.path is y.csv`),
    );
    writeFileSync(join(folder, 'x.csv'), '');
    writeFileSync(path, BASE.replace('y.csv', 'package.json'));
    const { config, source } = loadConfig(path);
    assert.equal(config.model_name_or_path, 'm');
    assert.deepEqual(config.tasks[0]!.train!.from, { path: join(folder, 'x.csv') });
    assert.deepEqual(config.tasks[0]!.test!.from, { path: 'package.json' });
    assert.equal(source.path, path);
    mkdirSync(join(folder, 'm'));
    assert.equal(loadConfig(path).config.model_name_or_path, join(folder, 'm'));
    assert.throws(() => loadConfig(join(folder, 'none.yaml')), UserError);
    assert.throws(() => loadConfig(folder), UserError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the starters and the examples are valid', () => {
  for (const task of TASK_NAMES) {
    const { tasks, weights } = parseConfig(starterConfig(task), task);
    assert.equal(tasks[0]!.settings.task, task);
    assert.ok(weights.quantization);
  }
  for (const path of ['examples/quickstart.yaml', 'examples/study.yaml', 'examples/chat.yaml'])
    assert.ok(loadStudy(path).runs[0]!.config.weights.quantization, path);
});

test('a chat template in a file is its text, from which the run has its id', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  try {
    writeFileSync(join(folder, 'rows.jsonl'), '{}');
    const load = (template: string, text?: string): ReturnType<typeof loadConfig>['config'] => {
      if (text !== undefined) writeFileSync(join(folder, 'one.jinja'), text);
      const task = { task: 'chat', train: { path: 'rows.jsonl' }, chat_template: template };
      return loadConfig({ config: { model_name_or_path: 'm', tasks: { talk: task } }, folder }).config;
    };
    const templateOf = (config: ReturnType<typeof load>): unknown =>
      (config.tasks[0]!.settings as { chat_template?: string }).chat_template;
    assert.throws(() => load('one.jinja'), {
      message: /tasks\.talk\.chat_template is one\.jinja, which is neither in this file's folder nor/,
    });
    const first = load('one.jinja', '{{ messages }}');
    assert.equal(templateOf(first), '{{ messages }}');
    const prints = { model: 'M', data: { 'talk.train': 'D' }, backend: 'B', batchInvariant: true };
    assert.equal(resultHash(load('{{ messages }}'), prints), resultHash(first, prints));
    assert.notEqual(resultHash(load('one.jinja', '{{ 1 }}'), prints), resultHash(first, prints));
    assert.equal(templateOf(load('chatml')), 'chatml');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a chat is asked as its model takes it, without examples', () => {
  const chat = (more: object): string =>
    JSON.stringify({
      model_name_or_path: 'm',
      tasks: { talk: { task: 'chat', train: { path: 'a' }, ...more } },
    });
  const [task] = parseConfig(chat({ test: { path: 'b' } })).tasks;
  assert.deepEqual(task!.baselines, ['zero_shot']);
  const faults: readonly (readonly [object, RegExp])[] = [
    [
      { test: { path: 'b' }, baselines: ['few_shot'] },
      /baselines have few_shot, and a chat can be asked by zero_shot alone$/,
    ],
    [
      { form: 'vicuna' },
      /form must be one of openai, sharegpt, prompt_completion, alpaca; it is the text "vicuna"$/,
    ],
    [{ columns: { message: 'x' } }, /columns\.message is not a setting; did you mean messages\?/],
    [{ form: 'openai', columns: { prompt: 'x' } }, /columns\.prompt is not a setting/],
    [{ metric: 'accuracy' }, /metric must be one of rouge, exact_match, chrf/],
    [{ rouge_tokenizer: 'unicode' }, /rouge_tokenizer goes with the metric rouge$/],
    [{ scoring: 'both' }, /scoring is not a setting/],
  ];
  for (const [more, message] of faults)
    assert.throws(
      () => parseConfig(chat(more)),
      (error) => error instanceof UserError && message.test(error.message),
    );
});

test('the JSON Schema describes every field and refuses unknown ones', () => {
  const undescribed: string[] = [];
  const open: string[] = [];
  const visit = (schema: Record<string, unknown>, path: string): void => {
    const properties = (schema['properties'] ?? {}) as Record<string, Record<string, unknown>>;
    if (schema['properties'] !== undefined && schema['additionalProperties'] !== false) open.push(path);
    for (const [name, property] of Object.entries(properties)) {
      if (typeof property['description'] !== 'string') undescribed.push(`${path}.${name}`);
      visit(property, `${path}.${name}`);
    }
    for (const key of ['anyOf', 'oneOf']) {
      for (const option of (schema[key] ?? []) as Record<string, unknown>[]) visit(option, path);
    }
    if (typeof schema['additionalProperties'] === 'object')
      visit(schema['additionalProperties'] as Record<string, unknown>, `${path}.*`);
  };
  const schema = jsonSchema();
  visit(schema, '');
  assert.deepEqual(undescribed, []);
  assert.deepEqual(open, []);
  assert.deepEqual(schema['required'], ['model_name_or_path', 'tasks']);
});

test('an adapter to start from: its settings are taken, and what contradicts it is told with its line', () => {
  const root = mkdtempSync(join(tmpdir(), 'westwind-'));
  const save = (folder: string, change: object = {}): void => {
    mkdirSync(join(root, folder), { recursive: true });
    const config = {
      peft_type: 'LORA',
      r: 4,
      lora_alpha: 32,
      lora_dropout: 0.25,
      target_modules: ['up_proj'],
    };
    writeFileSync(join(root, folder, 'adapter_config.json'), JSON.stringify({ ...config, ...change }));
  };
  save('one');
  // A run's folder, with an adapter for each of its tasks.
  save('run/a/adapter', { r: 2 });
  save('run/b/adapter', { r: 3 });
  for (const file of ['run/manifest.json', 'x.csv', 'y.csv']) writeFileSync(join(root, file), '{}');
  const load = (text: string, task = ''): ReturnType<typeof loadConfig> => {
    writeFileSync(join(root, 'c.yaml'), text + BASE + task);
    return loadConfig(join(root, 'c.yaml'));
  };
  const loraOf = (text: string, task = ''): unknown => load(text, task).config.tasks[0]!.lora;
  /** What is wanted of an adapter's settings, whatever else they say. */
  const agrees = (found: unknown, wanted: object): void =>
    assert.deepEqual({ ...(found as object), ...wanted }, found);
  const taken = { r: 4, lora_alpha: 32, lora_dropout: 0.25, target_modules: ['up_proj'] };
  agrees(loraOf('adapter: one\n'), taken);
  agrees(loraOf('', '    adapter: one\n'), taken);
  agrees(loraOf('adapter: one\nlora: {r: 4, lora_dropout: 0}\n'), {
    ...taken,
    lora_dropout: 0,
  });
  agrees(loraOf('adapter: run\n'), { r: 2 });
  const { adapter, lora } = load('adapter: one\nlora: {r: 8}\n', '    adapter: false\n').config.tasks[0]!;
  assert.deepEqual([adapter, lora && lora.r], [undefined, 8]);
  const told = (text: string, task: string, message: RegExp): void => {
    assert.throws(
      () => load(text, task),
      (error: unknown) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        assert.match(error.message, /^[^\n]*c\.yaml:\d+: [^\n]+$/);
        return true;
      },
    );
  };
  told('adapter: nowhere\n', '', /c\.yaml:1: adapter is nowhere, which holds no adapter/);
  told('', '    adapter: x.csv\n', /:7: tasks\.a\.adapter is x\.csv, which holds no adapter/);
  told('adapter: one\nlora: {r: 8}\n', '', /:2: lora\.r is 8, but the adapter in .*one has 4/);
  told('adapter: one\n', '    lora: {lora_alpha: 8}\n', /:8: tasks\.a\.lora\.lora_alpha is 8, but .* has 32/);
  told('adapter: one\n', '    lora: false\n', /:1: adapter is trained on, but lora is false in task 'a'/);
  told(
    'training: false\n',
    '    adapter: one\n',
    /:8: tasks\.a\.adapter is where training starts, and nothing is/,
  );
  writeFileSync(join(root, 'one/adapter_config.json'), '{"peft_type": "LOHA"}');
  assert.throws(() => load('adapter: one\n'), {
    name: 'UserError',
    message: /one\/adapter_config\.json: [^\n]+$/,
  });
  rmSync(root, { recursive: true });
});
