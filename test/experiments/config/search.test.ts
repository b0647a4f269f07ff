/** Searches: points drawn from lists and ranges, the same ones for the same seed, whatever else is drawn. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  jsonSchema,
  parseStudy,
  resultHash,
  type ResolvedConfig,
} from '../../../src/experiments/config/index.js';
import { UserError } from '../../../src/util/errors.js';

const TASK = { task: 'classification', train: { path: 'x.csv' }, test: { path: 'y.csv' }, baselines: [] };
const RATE = { low: 1e-5, high: 1e-3, log: true };

interface Drawn {
  readonly config: ResolvedConfig;
  readonly at: Readonly<Record<string, unknown>>;
}

function drawn(more: object, search: object = { trials: 20 }): Drawn[] {
  const config = { model_name_or_path: 'm', lora: {}, tasks: { t: TASK }, ...more };
  return parseStudy(JSON.stringify({ ...config, search: { method: 'random', ...search } }));
}

function fault(more: object, search?: object): string {
  const config = { model_name_or_path: 'm', tasks: { t: TASK }, ...more };
  try {
    parseStudy(
      JSON.stringify({ ...config, ...(search && { search: { method: 'random', ...search } }) }),
      'c.yaml',
    );
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    return error.message;
  }
  return '';
}

const column = (runs: readonly Drawn[], axis: string): unknown[] => runs.map(({ at }) => at[axis]);

test('trials are different, the same for the same seed, and more of them go on behind those before', () => {
  const axes = {
    training: { learning_rate: RATE },
    lora: { r: [4, 8, 16], lora_dropout: { low: 0, high: 0.2 } },
  };
  const runs = drawn(axes);
  assert.equal(runs.length, 20);
  assert.equal(new Set(runs.map(({ at }) => JSON.stringify(at))).size, 20);
  assert.deepEqual(drawn(axes), runs);
  assert.deepEqual(
    drawn(axes, { trials: 50 })
      .slice(0, 20)
      .map(({ at }) => at),
    runs.map(({ at }) => at),
  );
  assert.notDeepEqual(
    column(drawn(axes, { trials: 20, seed: 7 }), 'training.learning_rate'),
    column(runs, 'training.learning_rate'),
  );
  // A further axis leaves the others' values.
  const wider = drawn({ ...axes, training: { learning_rate: RATE, max_grad_norm: [0.3, 1] } });
  for (const axis of ['training.learning_rate', 'lora.r', 'lora.lora_dropout'])
    assert.deepEqual(column(wider, axis), column(runs, axis));
  assert.deepEqual(
    runs.map(({ config }) => config.search),
    runs.map((_, i) => ({ method: 'random', trials: 20, seed: 42, trial: i + 1 })),
  );
});

test('ranges are drawn from evenly, over the logarithm where they say so, and whole where the field is', () => {
  const runs = drawn(
    {
      training: { learning_rate: RATE, warmup_ratio: { low: 0, high: 0.5 } },
      lora: { r: { low: 1, high: 4 } },
    },
    { trials: 2000 },
  );
  const sharesOf = (axis: string, of: (x: number) => number): number[] =>
    column(runs, axis).map((value) => of(value as number));
  for (const shares of [
    sharesOf('training.learning_rate', (x) => Math.log(x / 1e-5) / Math.log(100)),
    sharesOf('training.warmup_ratio', (x) => x / 0.5),
  ]) {
    assert.ok(shares.every((share) => share >= 0 && share <= 1 + 1e-9));
    for (let tenth = 0; tenth < 10; tenth++) {
      const there = shares.filter((share) => Math.min(9, Math.floor(share * 10)) === tenth).length;
      // Of 2000 a tenth is 200, with a deviation of 13.4.
      assert.ok(Math.abs(there - 200) < 70, `${there} in tenth ${tenth}`);
    }
  }
  const ranks = column(runs, 'lora.r');
  for (const r of [1, 2, 3, 4])
    assert.ok(Math.abs(ranks.filter((x) => x === r).length - 500) < 100, `${r} in ${ranks.length}`);
});

test('of lists alone each point comes once, and exclude and zip hold', () => {
  const lists = { lora: { r: [2, 4, 8], lora_alpha: [4, 8, 16], lora_dropout: [0, 0.1, 0.2] } };
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.integer({ min: 1, max: 26 }), (seed, trials) => {
      const runs = drawn(lists, { trials, seed });
      assert.equal(new Set(runs.map(({ at }) => JSON.stringify(at))).size, trials);
    }),
    { numRuns: 10 },
  );
  const grid = { zip: [['lora.r', 'lora.lora_alpha']], exclude: [{ 'lora.r': 2 }] };
  const runs = drawn({ ...lists, grid }, { trials: 5 });
  assert.ok(
    runs.every(({ at }) => at['lora.lora_alpha'] === 2 * (at['lora.r'] as number) && at['lora.r'] !== 2),
  );
  const ranged = drawn(
    { lora: { ...lists.lora, lora_dropout: { low: 0, high: 0.5 } }, grid },
    { trials: 30 },
  );
  assert.ok(
    ranged.every(({ at }) => at['lora.lora_alpha'] === 2 * (at['lora.r'] as number) && at['lora.r'] !== 2),
  );
});

test('each trial runs with all seeds, and its id is that of the same settings without a search', () => {
  const runs = drawn({ seed: [1, 2, 3], training: { learning_rate: RATE } }, { trials: 4 });
  assert.deepEqual(column(runs, 'seed'), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
  assert.equal(new Set(column(runs, 'training.learning_rate')).size, 4);
  const prints = { model: 'M', backend: 'B', batchInvariant: true, data: { 't.train': 'X', 't.test': 'Y' } };
  for (const { config } of runs) {
    const { search, ...plain } = config;
    assert.ok(search);
    assert.equal(resultHash(config, prints), resultHash(plain, prints));
  }
});

test('what a search cannot draw is told in one line', () => {
  const ranged = { training: { learning_rate: RATE } };
  assert.match(fault(ranged), /learning_rate is a range, from which a search draws: add search: /);
  assert.match(fault({}, { trials: 3 }), /search has nothing to draw from/);
  assert.match(fault({ lora: { r: [2, 4] } }, { trials: 2 }), /search draws 2 of 2 points: leave it out/);
  assert.match(fault(ranged, {}), /search\.trials/);
  assert.match(fault(ranged, { trials: 3, tries: 4 }), /search\.tries is not a setting.*trials/);
  for (const [range, message] of [
    [{ low: 1e-3, high: 1e-5 }, /low \(0\.001\) must be below its high/],
    [{ low: 0, high: 1e-3, log: true }, /over logarithms, whose low \(0\) must be above 0/],
    [{ low: 1e-5 }, /takes low and high, two numbers/],
    [{ low: 1e-5, high: 1e-3, step: 1 }, /takes low and high, two numbers/],
  ] as const)
    assert.match(fault({ training: { learning_rate: range } }, { trials: 3 }), message);
  assert.match(
    fault({ lora: { r: { low: 1, high: 3 } } }, { trials: 9 }),
    /search finds no more than 3 points in these lists and ranges: lower trials/,
  );
  assert.match(
    fault({ training: { packing: { low: 1, high: 3 } } }, { trials: 2 }),
    /training\.packing takes no range: a search draws numbers from such/,
  );
});

test('editors are told of ranges where a number stands, and nowhere else', () => {
  const schema = JSON.stringify(jsonSchema());
  const { properties } = jsonSchema() as { properties: Record<string, { anyOf?: object[] }> };
  assert.match(schema, /"What a search draws from\."/);
  const [rate] = /"learning_rate":\{"anyOf":.*?"lr_scheduler_type"/.exec(
    JSON.stringify(properties['training']),
  )!;
  assert.ok(rate.includes('"low"') && rate.includes('"array"'), rate.slice(0, 500));
  for (const field of ['seed', 'revision']) assert.doesNotMatch(JSON.stringify(properties[field]), /"low"/);
});

const VALIDATED = { ...TASK, validation: { path: 'v.csv' } };
const ASHA = {
  seed: [1, 2],
  training: { learning_rate: RATE, eval_strategy: 'epoch' },
  tasks: { t: { ...VALIDATED, baselines: ['zero_shot'] } },
};
const PRINTS = {
  ...{ model: 'M', backend: 'B', batchInvariant: true },
  data: { 't.train': 'X', 't.test': 'Y', 't.validation': 'Z' },
};
const idOf = ({ config }: Drawn): string => resultHash(config, PRINTS);

test('an asha trial’s id holds the rules and the trials before it, and is never that of the settings alone', () => {
  const asked = { method: 'asha', trials: 8 };
  const runs = drawn(ASHA, asked);
  const tuned = runs.filter(({ config }) => config.tasks[0]!.tune);
  // A baseline is no trial.
  assert.equal(tuned.length, 16);
  assert.equal(runs.length, 17);
  const ids = tuned.map(idOf);
  assert.equal(new Set(ids).size, 16);
  for (const [i, { config }] of tuned.entries()) {
    const { search, ...plain } = config;
    assert.notEqual(resultHash(plain, PRINTS), ids[i]);
    assert.equal(search!.halving!.before === undefined, search!.trial === 1);
  }
  const idsOf = (more: object, of: object = asked): string[] =>
    drawn({ ...ASHA, ...more }, of)
      .filter(({ config }) => config.tasks[0]!.tune)
      .map(idOf);
  // More trials, and seeds, come beside those that are there.
  assert.deepEqual(idsOf({}, { ...asked, trials: 12 }).slice(0, 16), ids);
  assert.deepEqual(
    idsOf({ seed: [1, 2, 3] }).filter((_, i) => i % 3 < 2),
    ids,
  );
  assert.deepEqual(idsOf({}, { ...asked, reduction_factor: 4, grace_period: 1, metric: 'eval_loss' }), ids);
  for (const other of [{ reduction_factor: 3 }, { grace_period: 2 }])
    assert.ok(idsOf({}, { ...asked, ...other }).every((id) => !ids.includes(id)));
  // Of other trials before it one is another, though its own settings are the same.
  const listed = { lora: { r: [2, 4, 8] }, training: { eval_strategy: 'epoch' } };
  const placed = new Map<string, Set<string>>();
  for (const seed of [1, 2, 3, 4, 5, 6])
    for (const run of drawn({ ...ASHA, seed: 1, ...listed }, { ...asked, trials: 2, seed })) {
      if (!run.config.tasks[0]!.tune || run.config.search!.trial === 1) continue;
      const r = String(run.at['lora.r']);
      placed.set(r, (placed.get(r) ?? new Set()).add(idOf(run)));
    }
  assert.ok([...placed.values()].some(({ size }) => size === 2));
});

test('a search that cannot rank its trials is told in one line', () => {
  const asha = (more: object, search: object = {}): string =>
    fault({ ...ASHA, ...more }, { method: 'asha', trials: 3, ...search });
  assert.equal(asha({}), '');
  assert.match(
    asha({ training: { learning_rate: RATE } }),
    /search\.method asha needs evaluations: set training\.eval_strategy to steps or epoch/,
  );
  assert.match(asha({ tasks: { t: TASK } }), /training\.eval_strategy needs validation rows/);
  assert.match(asha({}, { reduction_factor: 1 }), /search\.reduction_factor/);
  assert.match(asha({}, { grace_period: 0 }), /search\.grace_period/);
  assert.match(asha({}, { trials: 0 }), /search\.trials/);
  assert.match(asha({}, { metric: 'rouge1' }), /search\.metric must be one of loss, accuracy, .*"rouge1"/);
  assert.match(
    asha({}, { metric: 'accuracy' }),
    /search\.metric is accuracy, which is not measured .* set training\.metric_for_best_model: accuracy/,
  );
  assert.equal(
    asha(
      { training: { learning_rate: RATE, eval_strategy: 'epoch', metric_for_best_model: 'f1_macro' } },
      { metric: 'accuracy' },
    ),
    '',
  );
  assert.match(
    asha({ model_name_or_path: ['m', 'n'] }),
    /model_name_or_path must be one value with search: asha measures trials against each other/,
  );
  assert.match(
    asha({ tasks: { t: { ...TASK, validation: { path: 'v.csv', count: [1, 2] } } } }),
    /tasks\.t\.validation\.count must be one value/,
  );
  // All points of a grid may be tried so.
  const listed = { training: { learning_rate: [1e-4, 1e-3, 1e-2], eval_strategy: 'epoch' } };
  assert.equal(asha(listed), '');
  assert.match(asha(listed, { trials: 4 }), /search draws 4 of 3 points: lower trials/);
  const ranged = { training: { learning_rate: RATE } };
  assert.match(fault(ranged, { trials: 3, reduction_factor: 3 }), /reduction_factor goes with method: asha/);
  assert.match(fault(ranged, { trials: 3, metric: 'loss' }), /search\.metric needs evaluations/);
  assert.match(fault(ranged, { method: 'grid', trials: 3 }), /search\.method/);
});
