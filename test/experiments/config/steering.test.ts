/** Settings that steer a training: what they come to, what of a run's id they are, and what of them is refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  loadConfig,
  parseConfig,
  resultHash,
  type ResolvedConfig,
  type ResolvedTask,
} from '../../../src/experiments/config/index.js';

const VALIDATED = 'train: {path: x.csv}, test: {path: y.csv}, validation: {path: z.csv}';

function configOf(training: string, rows = VALIDATED): ResolvedConfig {
  const task = `tasks:\n  a: {task: classification, ${rows}}\n`;
  return parseConfig(`model_name_or_path: m\ntraining: {${training}}\n${task}`);
}

const trainingOf = (training: string): ResolvedTask['training'] => configOf(training).tasks[0]!.training;

test('settings hold what is other than before, whole where a training is evaluated', () => {
  const before = trainingOf('');
  for (const none of [
    'eval_strategy: no',
    'eval_steps: 5',
    'label_smoothing_factor: 0, group_by_length: false, lr_scheduler_kwargs: {}',
    'early_stopping_patience: 0, load_best_model_at_end: false',
  ])
    assert.deepEqual(trainingOf(none), before, none);
  const evaluated = trainingOf(
    'eval_strategy: steps, logging_steps: 7, metric_for_best_model: eval_accuracy',
  );
  assert.deepEqual(evaluated, {
    ...before,
    ...{ logging_steps: 7, eval_strategy: 'steps', eval_steps: 7, load_best_model_at_end: false },
    ...{ metric_for_best_model: 'accuracy', greater_is_better: true },
    ...{ early_stopping_patience: 0, early_stopping_threshold: 0 },
  });
  assert.equal(trainingOf('eval_strategy: epoch').greater_is_better, false);
});

test('what decides what is kept is in the id of a run, and validation rows are', () => {
  const id = (config: ResolvedConfig, validation = 'Z'): string =>
    resultHash(config, {
      ...{ model: 'M', backend: 'cpu', batchInvariant: true },
      data: { 'a.train': 'X', 'a.test': 'Y', 'a.validation': validation },
    });
  const best = 'eval_strategy: steps, eval_steps: 5, load_best_model_at_end: true';
  const own = id(configOf(best));
  assert.equal(id(configOf(`${best}, save_total_limit: 1, save_steps: 3, logging_steps: 2`)), own);
  assert.equal(id(configOf(`${best}, metric_for_best_model: loss, greater_is_better: false`)), own);
  for (const more of [
    'early_stopping_patience: 2',
    'metric_for_best_model: accuracy',
    'greater_is_better: true',
    'early_stopping_threshold: 0.1',
    'label_smoothing_factor: 0.1',
    'packing: none, group_by_length: true',
    'lr_scheduler_type: polynomial, lr_scheduler_kwargs: {power: 2}',
  ])
    assert.notEqual(id(configOf(`${best}, ${more}`)), own, more);
  assert.notEqual(id(configOf(best), 'other rows'), own);
  // A run that trains nothing has no use for them.
  const baseline = (rows: string): string =>
    id(parseConfig(`model_name_or_path: m\ntraining: false\ntasks:\n  a: {task: classification, ${rows}}\n`));
  assert.equal(baseline(VALIDATED), baseline('train: {path: x.csv}, test: {path: y.csv}'));
});

test('what does not go together is refused by one line', () => {
  const refused = (training: string, message: RegExp, rows?: string): void =>
    assert.throws(
      () => configOf(training, rows),
      (error: Error) => {
        assert.match(error.message, message);
        assert.equal(error.message.split('\n').length, 1, error.message);
        return true;
      },
      training,
    );
  const PLAIN = 'train: {path: x.csv}, test: {path: y.csv}';
  refused('load_best_model_at_end: true', /load_best_model_at_end needs eval_strategy: steps or epoch/);
  refused('early_stopping_patience: 3', /early_stopping_patience needs eval_strategy/);
  refused('eval_strategy: epoch', /eval_strategy needs validation rows.*split: \{validation: 0\.1\}/, PLAIN);
  refused(
    'eval_strategy: epoch, metric_for_best_model: rougeL',
    /metric_for_best_model must be one of loss, accuracy, f1_macro; it is "rougeL"/,
  );
  refused('eval_strategy: steps, eval_steps: 2.5', /eval_steps must be a whole number of steps, or a share/);
  refused('eval_strategy: never', /eval_strategy must be one of no, steps, epoch/);
  refused('group_by_length: true', /group_by_length goes with packing: none.*\(concat\)/);
  refused('lr_scheduler_kwargs: {power: 2}', /lr_scheduler_kwargs has power.*constant takes none/);
  refused('lr_scheduler_type: warmup_stable_decay', /lr_scheduler_kwargs needs num_decay_steps/);
  refused(
    '',
    /split\.validation cannot be given together with 'validation'/,
    `${VALIDATED}, split: {validation: 3}`,
  );
  refused('', /validation needs 'train'/, 'test: {path: y.csv}, labels: [a, b], validation: {path: z.csv}');
});

test('the setting of a task is named there', () => {
  const own = 'training: {load_best_model_at_end: true}';
  assert.throws(
    () => configOf('', `${VALIDATED}, ${own}`),
    /tasks\.a\.training\.load_best_model_at_end needs/,
  );
});

test('the split of the hub that is tested evaluates nothing', () => {
  const load = (validation: string): unknown => {
    const hub = { hub: 'org/rows', columns: { label: 'class' } };
    const rows = { ...hub, ...(JSON.parse(validation) as object) };
    const task = { task: 'classification', train: hub, test: { ...hub, split: 'dev' }, validation: rows };
    return loadConfig({ config: { model_name_or_path: 'm', tasks: { a: task } } });
  };
  assert.throws(() => load('{"split": "dev"}'), /tasks\.a\.validation\.hub is where the test rows are from/);
  load('{}');
  load('{"split": "dev", "hub": "org/others"}');
});
