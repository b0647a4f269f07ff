/** What the tables of settings promise, of every setting in them: which change no bit of a result, and what each is where nobody says it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { figureHeads, METRIC_NAMES, metricOf, METRICS } from '../../../src/eval/index.js';
import { parseConfig, resultHash, type ResolvedConfig } from '../../../src/experiments/config/index.js';
import { configSchema } from '../../../src/experiments/config/schema.js';
import {
  BASELINES,
  definitionOf,
  metricOfTask,
  metricOptions,
  TASK_NAMES,
  type TaskName,
} from '../../../src/tasks/index.js';
import { UserError } from '../../../src/util/errors.js';
import { settingsOf, type DerivedDefault, type Setting } from '../../../src/util/settings.js';

type Json = Readonly<Record<string, unknown>>;

/** One of which each setting takes some. */
const VALUES: readonly unknown[] = [
  ...[true, false, 1, 2, 3, 0.5, 0.25],
  ...['x', 'http://x', 'loss', ...METRIC_NAMES.map((name) => figureHeads({ metric: name })[0]![0])],
  ...[[], ['q_proj'], ['a', 'b'], [{ check: 'rouge1', min: 0.5 }]],
  ...[{}, { experiment_name: 'x' }],
];

/** Tasks of each kind, and of a custom one with each metric. */
const TASKS: readonly (Json & { readonly task: TaskName })[] = [
  ...TASK_NAMES.filter((task) => task !== 'custom').map((task) => ({ task })),
  ...METRIC_NAMES.map((name) => ({
    ...{ task: 'custom' as const, prompt: '{q}', completion: '{a}', metric: METRICS[name].customName },
  })),
];

const SEARCHED = {
  search: { method: 'asha', trials: 3 },
  training: { learning_rate: { low: 1e-5, high: 1e-3 }, eval_strategy: 'epoch' },
};
const MIXED = { mixture: ['a.csv', 'b.csv'].map((path) => ({ path, weight: 1 })) };

/** What settings go with: test rows of a file of their own or of the training's, mixtures, answers by likelihood, unpacked texts, searches, evaluations. */
const WITH: readonly { readonly task: Json; readonly top?: Json }[] = [
  { task: { test: { path: 'y.csv' } } },
  { task: { test: { path: 'y.csv' }, scoring: 'both' }, top: { training: { packing: 'none' } } },
  { task: { split: { test: 0.25 } } },
  { task: { train: MIXED, test: { path: 'y.csv' } } },
  { task: { test: { path: 'y.csv' }, validation: { path: 'v.csv' } } },
  { task: { test: { path: 'y.csv' }, validation: { path: 'v.csv' }, baselines: [] }, top: SEARCHED },
  {
    task: { test: { path: 'y.csv' }, validation: { path: 'v.csv' } },
    top: {
      training: { eval_strategy: 'epoch', load_best_model_at_end: true, early_stopping_patience: 2 },
    },
  },
];

/** Each kind with each of these; the further metrics of a custom task with the first. */
const BASES: readonly Json[] = TASKS.flatMap((kind, i) =>
  WITH.slice(0, kind.task === TASKS[i - 1]?.task ? 1 : undefined).map(({ task, top }) => {
    const { baselines = BASELINES } = definitionOf(kind);
    const t = { ...kind, train: { path: 'x.csv' }, baselines, ...task };
    return { model_name_or_path: 'm', lora: {}, ...top, tasks: { t } };
  }),
);

/** The configuration with the field set, or without it where `value` is undefined, in a section that is there anyway. */
function withField(base: Json, [key, ...rest]: readonly string[], value: unknown): Json {
  const at = key === '*' ? 't' : key!;
  // What is undefined JSON leaves out.
  return { ...base, [at]: rest.length === 0 ? value : withField((base[at] ?? {}) as Json, rest, value) };
}

const parsed = remembering((text: string): ResolvedConfig | undefined => {
  try {
    return parseConfig(text);
  } catch (error) {
    // The value, or the field, does not go with the rest.
    assert.ok(error instanceof UserError, String(error));
    return undefined;
  }
});

const ANSWERED = ['one', 'один', 'one one'].map((reference) => ({ reference, answer: 'один one' }));

/** All that is asked of a configuration; of what metrics are told, what they make of it. */
function effect(config: ResolvedConfig): unknown {
  const tasks = config.tasks.map(({ settings, ...task }) => {
    const options = metricOptions(settings);
    const others = Object.entries(settings).filter(([key]) => !(key in options));
    const figures = Object.values(metricOf(metricOfTask(settings)).figures);
    const scores = figures.map(({ ofRow }) => ANSWERED.map((row) => ofRow?.(row, options)));
    return { ...task, scores, settings: Object.fromEntries(others) };
  });
  return JSON.parse(JSON.stringify({ ...config, tasks })) as unknown;
}

function hash(config: ResolvedConfig, batchInvariant = false): string {
  const data = Object.fromEntries(['train', 'test', 'validation'].map((name) => [`t.${name}`, name]));
  return resultHash(config, { model: 'M', backend: 'B', batchInvariant, data });
}

function valuesOf({ type }: Setting): readonly unknown[] {
  const own = type instanceof z.ZodEnum ? type.options : VALUES;
  return own.filter((value) => type.safeParse(value).success);
}

const SETTINGS = new Map([...settingsOf(configSchema)].map(([path, one]) => [path.join('.'), { path, one }]));

/** Calls `body` with each base in which the field can be given, and with the configurations of its other values; all of them are given. */
function inBases(
  path: readonly string[],
  one: Setting,
  body: (base: Json, without: ResolvedConfig, others: Iterable<ResolvedConfig>) => void,
): void {
  const values = valuesOf(one);
  let bases = 0;
  for (const base of BASES) {
    // What the top level says of it holds where the task says nothing.
    const above = path[0] === 'tasks' && path[2]! in base ? path.slice(2) : path;
    const silent = withField(withField(base, above, undefined), path, undefined);
    const without = parsed(JSON.stringify(silent));
    if (!without) continue;
    const others = function* (): Generator<ResolvedConfig> {
      for (const value of values) {
        const config = parsed(JSON.stringify(withField(silent, path, value)));
        if (config) yield config;
      }
    };
    if (others().next().done) continue;
    bases++;
    body(silent, without, others());
  }
  assert.ok(bases > 0, `${path.join('.')} was never given`);
}

test('no value of a setting that changes no bit changes the id of a run', () => {
  const bitless = [...SETTINGS.values()].filter(({ one }) => !one.bits);
  assert.ok(bitless.length > 10);
  for (const { path, one } of bitless)
    inBases(path, one, (base, without, others) => {
      for (const other of others)
        assert.ok(hash(other) === hash(without), `${path.join('.')} in ${JSON.stringify(base)}`);
    });
});

test('a setting that is left out is what its table says, and another value is another', () => {
  let tried = 0;
  for (const [name, { path, one }] of SETTINGS) {
    if (one.default === undefined) continue;
    tried++;
    let moved = false;
    inBases(path, one, (base, without, others) => {
      const kind = Object.values(base['tasks'] as Record<string, { task: TaskName }>)[0]!.task;
      const value = isDerived(one.default)
        ? one.default.of(definitionOf({ task: kind }).defaults)
        : one.default;
      const same = parsed(JSON.stringify(withField(base, path, value)));
      assert.ok(same, `${name}: its default is refused`);
      assert.deepEqual(effect(without), effect(same), `${name} in ${JSON.stringify(base)}`);
      moved ||= some(others, (other) => JSON.stringify(effect(other)) !== JSON.stringify(effect(without)));
    });
    assert.ok(moved, `${name} changes nothing`);
  }
  assert.ok(tried > 50, `${tried} settings`);
});

test('where a setting may change a bit, some value of it gives another id', () => {
  for (const [name, { path, one }] of SETTINGS) {
    if (!one.bits || one.default === undefined) continue;
    let moved = false;
    inBases(path, one, (_, without, others) => {
      moved ||= some(others, (other) => hash(other) !== hash(without));
    });
    assert.ok(moved, `${name} is in no id`);
  }
});

function some<T>(list: Iterable<T>, is: (one: T) => boolean): boolean {
  for (const one of list) if (is(one)) return true;
  return false;
}

function isDerived(value: unknown): value is DerivedDefault<unknown, unknown> {
  return typeof value === 'object' && value !== null && 'of' in value;
}

function remembering<T>(of: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    if (!known.has(text)) known.set(text, of(text));
    return known.get(text)!;
  };
}
