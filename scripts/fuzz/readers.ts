/** Everything that reads a file: what it is given, and that it is used as the program uses it. A reader ends well or in a UserError. */

import { readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { loadAdapter } from '../../src/adapters/peft.js';
import { mergeAdapter } from '../../src/adapters/merge.js';
import { createLora } from '../../src/adapters/lora.js';
import type { Backend } from '../../src/backends/contract.js';
import { readTable, selectColumns } from '../../src/data/index.js';
import { loadStudy, parseStudy } from '../../src/experiments/config/index.js';
import { parsePresetModels } from '../../src/experiments/config/presets.js';
import { EVENTS, EventFiles } from '../../src/experiments/trackers/tensorboard.js';
import { readEventFile } from '../../src/experiments/trackers/tfevents.js';
import { makeReport } from '../../src/experiments/report/index.js';
import { findRunFolders, readPredictions, readRun, readSteps } from '../../src/experiments/store/stored.js';
import { savedResult } from '../../src/experiments/run/unit.js';
import { GgufFile, openCheckpoint, resolveModelFolder, SafetensorsFile } from '../../src/files/index.js';
import { stopTokens } from '../../src/generate/stop-tokens.js';
import { loadModel, randomModel } from '../../src/models/load.js';
import type { CausalLM } from '../../src/models/model.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { restoreCheckpoint } from '../../src/train/checkpoint.js';
import { AdamW } from '../../src/train/optimizer.js';
import type { Kind } from './mutate.js';
import type { Random } from './random.js';
import { LORA, OPTIMIZER, SMALL } from './seeds.js';
import { TASK_FILES } from '../../src/experiments/store/layout.js';
import { readReceipt, RECEIPT } from '../../src/experiments/trackers/mlflow.js';
import { RecordedTask } from '../../src/experiments/run/tracked.js';

export interface Reader {
  /** The folder of its whole files, and those of them that are damaged. */
  readonly seeds: string;
  readonly files: (name: string) => boolean;
  readonly kind: Kind | ((name: string) => Kind);
  readonly pieces?: readonly string[];
  /** Of all cases, by comparison. */
  readonly weight: number;
  /** `file` is the damaged one; both within a folder that is the reader's own. */
  read(folder: string, file: string, random: Random): unknown;
}

const YAML_PIECES = [
  '&a [*a, *a]',
  '*a',
  '<<: *a',
  '!!js/function x',
  '!!binary x',
  '? a\n: b',
  '---',
  '...',
  '%YAML 1.1',
  '|',
  '>-',
  '\t',
  '- - - - - -',
  '{',
  '}',
  '[',
  ']',
  'extends: quickstart.yaml',
  'extends: classification',
  'grid: {exclude: [{lora.r: 8}]}',
  '__proto__: {a: 1}',
  'constructor: 1',
  'toString: 2',
  ': :',
  '"',
  "'",
  '#',
  '[[',
  '.inf',
  '0x7fffffff',
  '1e999',
  '['.repeat(3000),
  '{a: '.repeat(3000),
  '- '.repeat(3000),
  'a:\n '.repeat(50),
  'tasks:',
  'null',
  '~',
  'seed: [1, 2, 3]',
];

const TEMPLATE_PIECES = [
  '{{',
  '}}',
  '{%',
  '%}',
  '{% for i in range(9) %}',
  '{% endfor %}',
  '{% if x %}',
  '{% else %}',
  '{% endif %}',
  '{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}',
  '{{ messages }}',
  '{{ messages | tojson }}',
  '{{ ("a" * 9) }}',
  '{{ x.y.z }}',
  '{{ messages[99].role }}',
  "{{ ''.__class__ }}",
  '{{ constructor }}',
  '{% set x = x %}',
  '{{ 1 / 0 }}',
  '{{ range(3) | join }}',
  '{% for a in messages %}{% for b in messages %}',
  "{{ raise_exception('x') }}",
  '{#',
  '-%}',
  '| trim | upper | nothing',
  '[:-1]',
  '{% generation %}',
  '{% break %}',
  '{{ strftime_now("%Y") }}',
];

const TABLE_PIECES = [
  '"',
  '""',
  ',',
  ';',
  '\t',
  '\n',
  '\r',
  '"\n',
  'text',
  'a,b,c,d,e,f',
  '\0',
  '{"a":1}',
  '1e999',
  '{"text":{"a":[]},"label":1}',
  '[1,2]',
  ','.repeat(2000),
];

export async function makeReaders(backend: Backend, scratch: string): Promise<Record<string, Reader>> {
  const model = await randomModel(backend, SMALL, { dtype: 'f32' });
  const adapter = createLora(model, LORA, { seed: 2 });
  const optimizer = new AdamW(adapter.parameters, OPTIMIZER);
  const loaded = async (folder: string): Promise<void> => {
    const made: CausalLM = await loadModel(backend, folder, { dtype: 'f32' });
    made.dispose();
  };
  const rows = async (path: string): Promise<void> => {
    const table = await readTable(path);
    selectColumns(table, { text: 'text', label: 'label' }, path);
  };
  const encoded = (folder: string): void => {
    const tokenizer = Tokenizer.load(folder);
    const ids = tokenizer.encode('abc Ab  12\u00e9 <s> \u4e2d\n');
    tokenizer.decode(ids);
    if (tokenizer.hasChatTemplate)
      tokenizer.applyChatTemplate(
        [
          { role: 'user', content: ' a b ' },
          { role: 'assistant', content: '' },
        ],
        { addGenerationPrompt: true },
      );
  };
  const named =
    (...names: string[]) =>
    (name: string): boolean =>
      names.some((one) => name.endsWith(one));
  return {
    safetensors: {
      ...{ seeds: 'safetensors', files: named('.safetensors'), kind: 'safetensors', weight: 20 },
      read: (_, path) => {
        const file = SafetensorsFile.open(path);
        try {
          for (const name of file.names) file.read(name);
        } finally {
          file.close();
        }
      },
    },
    gguf: {
      ...{ seeds: 'gguf', files: named('.gguf'), kind: 'bytes', weight: 10 },
      read: (_, path) => {
        const file = GgufFile.open(path);
        try {
          for (const name of file.tensors.keys()) file.read(name);
        } finally {
          file.close();
        }
      },
    },
    'index.json': {
      ...{ seeds: 'index', files: named('index.json'), kind: 'json', weight: 10 },
      read: (folder) => {
        const checkpoint = openCheckpoint(folder);
        try {
          for (const name of checkpoint.names) checkpoint.read(name);
        } finally {
          checkpoint.close();
        }
      },
    },
    'config.json': {
      ...{ seeds: 'models', files: named('/config.json', 'generation_config.json'), kind: 'json', weight: 8 },
      read: async (_, path) => {
        stopTokens(join(path, '..'), 2);
        await loaded(join(path, '..'));
      },
    },
    weights: {
      ...{ seeds: 'models', files: named('.safetensors'), kind: 'safetensors', weight: 4 },
      read: (_, path) => loaded(join(path, '..')),
    },
    'tokenizer.json': {
      ...{ seeds: 'tokenizers', files: named('tokenizer.json'), kind: 'json', weight: 6 },
      read: (_, path) => encoded(join(path, '..')),
    },
    'tokenizer_config.json': {
      ...{
        seeds: 'tokenizers',
        files: named('tokenizer_config.json', 'special_tokens_map.json', '/config.json'),
        kind: 'json',
        weight: 3,
      },
      read: (_, path) => {
        rmSync(join(path, '..', 'chat_template.jinja'), { force: true });
        encoded(join(path, '..'));
      },
    },
    chat_template: {
      ...{ seeds: 'tokenizers', files: named('.jinja'), kind: 'text', pieces: TEMPLATE_PIECES, weight: 4 },
      read: (_, path) => encoded(join(path, '..')),
    },
    adapter: {
      ...{ seeds: 'adapter', files: () => true, weight: 10 },
      kind: (name) => (name.endsWith('.json') ? 'json' : 'safetensors'),
      read: (folder) => loadAdapter(model, folder).dispose(),
    },
    merge: {
      ...{ seeds: 'adapter', files: () => true, weight: 1 },
      kind: (name) => (name.endsWith('.json') ? 'json' : 'safetensors'),
      read: async (folder) => {
        const out = join(scratch, 'merged');
        try {
          await mergeAdapter(backend, join(folder, '../models/mistral'), folder, out);
        } finally {
          rmSync(out, { recursive: true, force: true });
        }
      },
    },
    checkpoint: {
      ...{ seeds: 'checkpoint', files: () => true, kind: 'safetensors', weight: 5 },
      read: (folder) => restoreCheckpoint(folder, optimizer, 'run'),
    },
    yaml: {
      ...{
        seeds: 'yaml',
        files: (name) => !name.endsWith('models.yaml'),
        kind: 'text',
        pieces: YAML_PIECES,
        weight: 6,
      },
      read: (_, path, random) => (random.oneIn(2) ? loadStudy(path) : parseStudy(readFileSync(path, 'utf8'))),
    },
    'models.yaml': {
      ...{ seeds: 'yaml', files: named('models.yaml'), kind: 'text', pieces: YAML_PIECES, weight: 3 },
      read: (_, path) => parsePresetModels(readFileSync(path, 'utf8'), path),
    },
    csv: {
      seeds: 'tables',
      files: named('.csv'),
      kind: 'text',
      pieces: TABLE_PIECES,
      weight: 10,
      read: (_, path) => rows(path),
    },
    tsv: {
      seeds: 'tables',
      files: named('.tsv'),
      kind: 'text',
      pieces: TABLE_PIECES,
      weight: 5,
      read: (_, path) => rows(path),
    },
    json: { seeds: 'tables', files: named('.json'), kind: 'json', weight: 8, read: (_, path) => rows(path) },
    jsonl: {
      seeds: 'tables',
      files: named('.jsonl'),
      kind: 'jsonl',
      weight: 8,
      read: (_, path) => rows(path),
    },
    // A process a file.
    parquet: {
      seeds: 'parquet',
      files: () => true,
      kind: 'bytes',
      weight: 0.1,
      read: (_, path) => rows(path),
    },
    run: {
      ...{ seeds: 'runs', files: (name) => !name.endsWith(EVENTS), weight: 12 },
      kind: (name) => (name.endsWith('.jsonl') ? 'jsonl' : name.endsWith('.pid') ? 'bytes' : 'json'),
      read: (folder, path) => {
        for (const run of findRunFolders([folder]).map(readRun)) {
          for (const result of run.results) {
            readSteps(run, result.task);
            savedResult(join(run.folder, result.task));
            for (const { method } of result.methods) readPredictions(run, result, method, 'generate');
          }
        }
        if (path.endsWith(RECEIPT)) readReceipt(dirname(path));
        const checks = TASK_FILES.checks('tuned');
        if (path.endsWith(checks.name)) checks.read(dirname(path));
      },
    },
    report: {
      ...{ seeds: 'runs', files: (name) => !name.endsWith(EVENTS), weight: 0.4 },
      kind: (name) => (name.endsWith('.jsonl') ? 'jsonl' : name.endsWith('.pid') ? 'bytes' : 'json'),
      read: (folder) => makeReport(findRunFolders([folder]).map(readRun)),
    },
    tfevents: {
      ...{ seeds: 'runs', files: named(EVENTS), kind: 'tfevents', weight: 8 },
      read: (_, path) => {
        readEventFile(path);
        const task = new RecordedTask(dirname(dirname(path)), basename(dirname(path)), { mlflow: {} });
        const figures = [{ wallTime: 9, step: 9, scalars: { 'eval/accuracy': 1 } }];
        new EventFiles().see(Object.assign(task, { figures: () => figures }));
      },
    },
    'hub cache': {
      ...{ seeds: 'hub', files: named('refs/main', '.json', '.safetensors'), weight: 3 },
      kind: (name) => (name.endsWith('.json') ? 'json' : 'bytes'),
      read: async (folder) =>
        loaded(await resolveModelFolder('org/name', { cacheDir: folder, offline: true })),
    },
  };
}
